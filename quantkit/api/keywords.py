"""Keywords of the API's functions. Made by `make generate`: change the settings' models instead."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Required, TypedDict


class LayerSchemeKeywords(TypedDict, total=False):
    """How the layers that a pattern names are computed; what is left out is as the section says."""

    pattern: Required[str]
    """glob over layer names, such as *.output.dense"""
    scheme: Literal["static", "dynamic", "blockwise"] | None
    smooth_quant: Literal["auto", "off"] | float | None
    calib_method: Literal["minmax", "percentile", "entropy", "mse"] | None
    symmetric: bool | None
    outlier_channels: int | Literal["auto", "off"] | None
    """so many inputs are multiplied in float, or as the section says it"""
    split_channels: int | Literal["auto", "off"] | None
    """so many copies of channels that stick out, or as the section says it"""
    rounding: Literal["nearest", "gptq"] | None
    bias_correction: bool | None
    weight_type: Literal["int8-pairs", "uint8"] | None
    """grid of the weights, of those that are exact on every CPU"""
    block_size: Literal[16, 32, 64, 128, 256] | None
    """inputs that share a scale, for blockwise"""
    because: str
    """the reason, with its number"""


class KeepFloatKeywords(TypedDict, total=False):
    """Layers that stay FP32, and why."""

    pattern: Required[str]
    """glob over layer names, such as *.attention.self.query"""
    because: str
    """the reason, with its number"""


class AutoKeywords(TypedDict, total=False):
    """What `mode: auto` searches for, and on what."""

    target: float
    """least ratio to the FP32 score on the selection; stricter than the gate, as it asks others"""
    select: str | Path | None
    """labelled questions that candidates are judged on; default: more of the calibration file"""
    select_questions: int
    """questions taken from the selection"""
    gate_data: str | Path | None
    """the gate's questions, which the selection must not hold; default: the task's"""
    slack: float
    """share of the fastest passing candidate's cost that may be added for less damage"""
    min_int8_coverage: float
    """least share of linear MACs in integer kernels, as the gate will ask for"""
    budget: float
    """time for the whole search"""
    confidence: float
    """one-sided confidence that the expected score keeps the target"""


class ExportKeywords(TypedDict, total=False):
    """Settings of `export`."""

    max_length: int | None
    """most tokens of a row; default: 384, or what the model and its tokenizer take"""
    doc_stride: int | None
    """squad: tokens of the text by which a window advances; default: 128, a third of shorter rows"""
    max_query_length: int | None
    """squad: most tokens of a question; default: 64, at most a third of a row"""
    max_answer_length: int | None
    """squad: most tokens of an answer; default: 30"""
    n_best: int | None
    """squad: starts and ends of a window that are considered; default: 20"""
    null_score_diff_threshold: float | None
    """squad: by how much (logits) no answer must be above the best one to be given, where the data has
    questions without an answer (SQuAD 2.0); choose it on other data than the gate's; default: 0"""
    opset: int
    """ONNX opset of the exported graph, 14 to 17"""
    atol: float
    """largest absolute logit difference to PyTorch that is accepted"""
    external_data: Literal["auto", "yes", "no"]
    """weights in model.onnx.data: auto only when the model is above 2 GB"""
    allow_pickle: bool
    """load pytorch_model.bin if need be; unpickling can run code"""
    revision: str | None
    """revision of a Hugging Face checkpoint"""
    pooling: Literal["auto", "mean", "cls"]
    """how tokens become one embedding (sentence-similarity); auto: what modules.json says"""
    enabled: bool
    """false: keep the graph as it was exported"""
    embed_layer_norm: bool
    """fuse EmbedLayerNormalization where the model allows it"""
    allow_partial: bool
    """a missing fusion is a warning, not an error"""


class ImportKeywords(TypedDict, total=False):
    """Settings of `import`."""

    max_length: int | None
    """most tokens of a row; default: 384, or what the model and its tokenizer take"""
    doc_stride: int | None
    """squad: tokens of the text by which a window advances; default: 128, a third of shorter rows"""
    max_query_length: int | None
    """squad: most tokens of a question; default: 64, at most a third of a row"""
    max_answer_length: int | None
    """squad: most tokens of an answer; default: 30"""
    n_best: int | None
    """squad: starts and ends of a window that are considered; default: 20"""
    null_score_diff_threshold: float | None
    """squad: by how much (logits) no answer must be above the best one to be given, where the data has
    questions without an answer (SQuAD 2.0); choose it on other data than the gate's; default: 0"""
    model_file: str | None
    """the ONNX file, where the folder holds several"""
    companions: str | None
    """folder with config.json and the tokenizer, where the model's has none"""
    precision: Literal["fp32", "int8"] | None
    """what the model is said to be; default: as its kernels and weights show"""
    rename: Sequence[str]
    """input or output of the graph under another name, such as input_mask=attention_mask"""


class SearchKeywords(TypedDict, total=False):
    """Settings of `search`."""

    max_length: int | None
    """most tokens of a row; default: 384, or what the model and its tokenizer take"""
    doc_stride: int | None
    """squad: tokens of the text by which a window advances; default: 128, a third of shorter rows"""
    max_query_length: int | None
    """squad: most tokens of a question; default: 64, at most a third of a row"""
    max_answer_length: int | None
    """squad: most tokens of an answer; default: 30"""
    n_best: int | None
    """squad: starts and ends of a window that are considered; default: 20"""
    null_score_diff_threshold: float | None
    """squad: by how much (logits) no answer must be above the best one to be given, where the data has
    questions without an answer (SQuAD 2.0); choose it on other data than the gate's; default: 0"""
    data: str | Path | None
    """questions that moments and damage come from, and the selection unless it has its own: a shipped set,
    or a file in the task's format; never the gate's"""
    min_throughput: str | None
    """least throughput as INT8, such as 1.5x that of the INT8 teacher, measured here"""
    max_latency: float | None
    """longest time of one row as INT8 on one thread, measured here"""
    max_parameters: int | None
    """most parameters, embeddings included"""
    max_size_mb: float | None
    """largest INT8 model, 1 MB = 10^6 bytes"""
    max_l3_mb: float | None
    """most that an instance reads over and over as INT8: weights and the activations of a batch"""
    min_f1_ratio: float | None
    """least ratio to the teacher's expected score on the selection, before any training"""
    data_questions: int
    """questions that moments come from"""
    damage_questions: int
    """further ones that damage is measured on"""
    select: str | Path | None
    """labelled questions that candidates are judged on; default: more of the data"""
    select_questions: int
    """questions taken from the selection"""
    gate_data: str | Path | None
    """the gate's questions, which no other may be; default: the task's"""
    tokens: int | None
    """tokens of the rows that are timed; default: the data's mean"""
    step: int
    """widths of feed-forward networks are multiples of it"""
    float_blocks: bool
    """blocks may stay float too, measured as such: scheme and width are chosen together"""
    min_int8_coverage: float
    """with float blocks: least share of the blocks' linear MACs that are INT8, as the gate will ask for"""
    candidates: int
    """candidates that are built and judged at most"""
    budget: float
    """time for the whole search"""
    confidence: float
    """one-sided confidence of bounds on the selection"""
    seed: int
    """seed of the samples"""
    engine: Literal["threads", "ray"]
    """where calibration and questions run and candidates are made; what is found is the same"""
    ray_address: str | None
    """engine ray: host:port of the cluster; default: $RAY_ADDRESS, or here"""


class DistillKeywords(TypedDict, total=False):
    """Settings of `distill`."""

    data: Required[Sequence[str | Path]]
    """questions to learn on, in the task's format; labels count only with label_weight"""
    select: str | Path | None
    """labelled questions that the best weights are chosen by; default: some of the data, left out of the
    training"""
    select_questions: int
    """questions taken from the selection"""
    gate_data: str | Path | None
    """the gate's questions, which nothing here may hold; default: the task's"""
    layers: Sequence[int] | None
    """the teacher's layer, from 0, that the student's next one stands for; only for a student of fewer
    layers"""
    budget: float
    """time for all; the steps that fit are counted by the speed of the first ones"""
    steps: int | None
    """optimizer steps; default: as many as the budget has time for"""
    block_share: float
    """share of the steps in which each changed block learns alone, from the teacher's inputs"""
    token_budget: int
    """tokens per batch, padding included"""
    accumulate: int
    """batches per optimizer step"""
    max_length: int | None
    """most tokens in a row; default: as export chooses, 384 or what the model and its tokenizer take"""
    learning_rate: float
    """the highest; it rises through warm_up and falls to zero"""
    block_learning_rate: float
    """the same while each block learns alone"""
    warm_up: float
    """share of the steps that the learning rate rises"""
    weight_decay: float
    """of matrices, by AdamW"""
    temperature: float
    """by which logits are divided before they are compared"""
    logits_weight: float
    """weight of the answers' divergence"""
    hidden_weight: float
    """weight of the hidden states' error, relative to their size"""
    relation_weight: float
    """weight of the relations between queries, keys and values of the last layer"""
    relation_heads: int
    """most heads that relations are compared in; fewer where widths ask for it"""
    label_weight: float
    """weight of the data's own labels"""
    qat_share: float
    """share of the steps, the last ones, in which linear layers are rounded as in INT8"""
    train_embeddings: bool
    """embeddings learn too; they are frozen otherwise"""
    evaluations: int
    """how often the selection is answered, evenly over the steps"""
    patience: int
    """evaluations without a better one after which the training ends, unless the last weights are kept"""
    keep: Literal["best", "last"]
    """weights that are kept: the best on the selection, or the last, where the teacher was trained on the
    selection and whoever answers as it does looks better than it is"""
    precision: Literal["auto", "float32", "bfloat16"]
    """of products; auto: bfloat16 where the device multiplies it faster"""
    device: Literal["auto", "cpu", "cuda"]
    """auto: the first GPU, where torch finds one"""
    threads: int | None
    """threads of the CPU; default: all cores"""
    save_every: int
    """steps after which the training is saved, to go on there after a stop"""
    seed: int
    """of the order of the rows, and of the selection"""


class QuantizeKeywords(TypedDict, total=False):
    """Settings of `quantize`."""

    mode: Literal["dynamic", "static", "auto"]
    """activation ranges at run time, calibrated, or the fastest choice per layer that keeps the target"""
    plain: bool
    """static without the techniques that it has by default; those that are given too are used"""
    calib: str | Path | None
    """calibration questions: squad (MLPerf's 100), squad-train, another shipped set, or a file in the
    task's format"""
    calib_questions: int | None
    """questions taken from the calibration set; default: 200, or 100 if plain or for a search, or all where
    there are fewer"""
    calib_method: Literal["minmax", "percentile", "entropy", "mse"]
    """how ranges are taken from what was observed"""
    percentile: float
    """for calib_method percentile"""
    per_channel: bool
    """one weight scale per output channel"""
    symmetric: bool
    """activation ranges around zero (zero point 128)"""
    reduce_range: Literal["auto", "yes", "no"]
    """7-bit weights; auto: never, as int8 keeps the pair limit where a target without VNNI needs it"""
    weight_type: Literal["auto", "int8", "int8-pairs", "uint8"]
    """auto, int8: int8-pairs where the target has no VNNI; int8-pairs: within the pair limit, exact on
    every CPU; uint8: exact too, by slower kernels"""
    target_isa: str
    """instruction set the artifact is for; native: this processor's, the only ones validated here; any: all
    of them, with sums that none saturates"""
    smooth_quant: Literal["auto", "off"] | float
    """SmoothQuant alpha, 0 to 1; auto: factors of least expected output error, off for dynamic; default:
    auto, off if plain"""
    rounding: Literal["nearest", "gptq"]
    """how weights become levels; default: gptq for static, nearest if plain or dynamic"""
    bias_correction: bool
    """move the mean output error on the calibration data into the bias; default: yes for static, no if
    plain"""
    channel_shift: bool
    """centre channels on zero before they are rounded, where biases take it back for nothing; default: yes
    for static, no if plain"""
    split_channels: Literal["auto", "off"]
    """auto: make sixteen copies of channels that stick out, where the layer before can; for static with
    smooth_quant"""
    outlier_channels: Literal["auto", "off"]
    """auto: multiply eight channels in float where they make a quarter or more of a layer's rounding noise;
    for static with calib_method minmax; default: auto for static, off if plain or with split_channels"""
    attention: Literal["float", "qk"]
    """qk: queries and keys to INT8 too, which OpenVINO multiplies as such"""
    layout: Literal["auto", "onnxruntime", "onnxruntime-avx2", "portable", "fused"]
    """operators the graph is written in: onnxruntime's fastest on a CPU, or on one without AVX-512, no new
    ones of its own, or as fused; auto: onnxruntime, for target avx2 onnxruntime-avx2, and fused with
    attention qk, which is for OpenVINO"""
    schemes: Sequence[LayerSchemeKeywords]
    """layers that are computed otherwise; the first pattern that fits wins"""
    keep_float: Sequence[KeepFloatKeywords]
    """layers and tables that stay FP32, such as '*.attention.self.query'; a pattern that matches nothing is
    an error"""
    engine: Literal["threads", "ray"]
    """where calibration runs; what is made is the same"""
    ray_address: str | None
    """engine ray: host:port of the cluster; default: $RAY_ADDRESS, or here"""
    auto: AutoKeywords
    """for mode auto"""
    seed: int
    """seed of the calibration sample"""


class SensitivityKeywords(TypedDict, total=False):
    """Settings of `sensitivity`."""

    calib: str | Path | None
    """questions that ranges come from and damage is measured on: a shipped set, or a file"""
    calib_questions: int
    """questions the ranges come from"""
    questions: int
    """questions the damage is measured on"""
    budget: float
    """when it is too short for each group alone, groups are measured together"""
    seed: int
    """seed of the sample"""


class EvaluateKeywords(TypedDict, total=False):
    """Settings of `evaluate`."""

    data: str | Path
    """dataset name, or a file in the task's format"""
    limit: int | None
    """first N questions only (never for a gate)"""
    metric: str | Path | None
    """Python function that scores answers in place of the task's metric; needs --allow-code"""
    token_budget: int
    """tokens per batch, padding included"""
    equal_lengths: bool
    """only rows of one length share a batch, and attention runs without a mask"""
    exact_int8: bool
    """where sums of int8 products saturate (x86 without VNNI), multiply int8 weights as uint8 ones:
    slower"""
    threads: int | None
    """one-thread instances; default: the artifact's profile, or all cores"""
    engine: Literal["threads", "processes", "ray"] | None
    """what runs the instances; default: the artifact's profile, or threads"""
    ray_address: str | None
    """engine ray: host:port of the cluster; default: $RAY_ADDRESS, or here"""


class GateKeywords(TypedDict, total=False):
    """Settings of `gate`."""

    min_ratio: float
    """least candidate F1 / reference F1, compared unrounded with >="""
    reference_f1: float | None
    """fixed reference in percent instead of the baseline's F1, such as MLPerf's 90.874"""
    student: bool
    """the candidate is a smaller model made from the baseline's checkpoint, as its export says: layers need
    not agree, embeddings must"""
    policy: Literal["mlperf", "statistical"]
    """mlperf: point estimate on all questions; statistical: paired interval, can be inconclusive"""
    confidence: float
    """one-sided confidence of the statistical policy"""
    min_int8_coverage: float
    """least share of linear MACs in integer kernels"""
    max_size_mb: float | None
    """largest model, 1 MB = 10^6 bytes"""
    min_cosine: float
    """least mean cosine to the baseline's embeddings (sentence-similarity)"""
    min_overlap: float
    """least share of the 10 nearest texts kept (sentence-similarity)"""
    resamples: int
    """bootstrap resamples"""
    seed: int
    """bootstrap seed"""
    metric: str | Path | None
    """Python function that scores answers in place of the task's metric; needs --allow-code"""
    exact_int8: bool
    """where sums of int8 products saturate (x86 without VNNI), multiply int8 weights as uint8 ones:
    slower"""
    threads: int | None
    """one-thread instances; default: the artifact's profile, or all cores"""


class BenchKeywords(TypedDict, total=False):
    """Settings of `bench`."""

    data: str | Path
    """dataset name or file the questions are taken from"""
    scenario: Literal["offline", "single-stream", "server"]
    """what is measured"""
    questions: int
    """questions per measured pass, or per trial of a rate"""
    repeats: int
    """fewest interleaved rounds"""
    max_repeats: int
    """most rounds, while the result is not sure enough"""
    max_spread: float
    """widest 90 % interval of a median ratio, relative to it; a wider one is refused"""
    profile: Literal["fixed", "tuned"]
    """the settings below for all, or of each artifact what `quantkit tune` found"""
    token_budget: int
    """tokens per batch, padding included"""
    threads: int | None
    """threads in all; default: all cores"""
    instances: int | None
    """sessions that share the threads; default: one per thread, for single-stream one"""
    runtime: Literal["onnxruntime", "openvino"]
    """what runs the graph"""
    engine: Literal["threads", "processes", "ray"]
    """how instances are run"""
    ray_address: str | None
    """engine ray: host:port of the cluster; default: $RAY_ADDRESS, or here"""
    equal_lengths: bool
    """only questions of one length share a batch, and attention needs no mask"""
    exact_int8: bool
    """where sums of int8 products saturate (x86 without VNNI), multiply int8 weights as uint8 ones:
    slower"""
    latency_bound: float
    """server: milliseconds within which 99 % are answered (MLPerf's for BERT is 130)"""
    seed: int
    """server: seed of the arrivals"""


class PublishKeywords(TypedDict, total=False):
    """Settings of `publish`."""

    insecure: bool
    """allow plain HTTP to an OCI registry on another machine"""
    policy: str | None
    """file with the policy that an OCI registry is held to; a folder has its own"""
    name: Required[str]
    """name in the registry, such as minilm-squad"""
    version: Required[str]
    """version, such as 1.0.0; never overwritten"""
    layout: Literal["plain", "hub"]
    """hub: with a model card and what else the Hugging Face Hub wants; a folder only"""
