"""XLM-RoBERTa: RoBERTa's encoder for a hundred languages; the tokenizer is a unigram model in tokenizer.json."""

from dataclasses import replace

from quantkit.architectures import roberta

ARCHITECTURE = replace(roberta.ARCHITECTURE, model_type="xlm-roberta")
