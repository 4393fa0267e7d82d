"""CamemBERT: RoBERTa's encoder for French; the tokenizer is a unigram model in tokenizer.json."""

from dataclasses import replace

from quantkit.architectures import roberta

ARCHITECTURE = replace(roberta.ARCHITECTURE, model_type="camembert")
