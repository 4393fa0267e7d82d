"""The Python API: what the commands do, as functions that return records.

    import quantkit

    fp32 = quantkit.export("my-checkpoint", "fp32", task="squad")
    int8 = quantkit.quantize(fp32, "int8", calib="my-questions.json")
    verdict = quantkit.gate(int8, fp32, data="heldout.json")
    quantkit.publish(int8, "registry", name="my-model", version="1.0.0")

    with quantkit.load("int8") as model:
        model.answer("Who wrote it?", "Ada wrote it.").text

Functions are reached as attributes of `quantkit` and imported when they are first used, so `import quantkit` stays
quick and needs neither torch nor onnxruntime. Keywords are the settings of the command of the same name, and of a
recipe's section; one that does not exist, or does not fit, is a `UsageError` that says which. All errors are
`quantkit.errors.QuantkitError`; its subclasses are those that the commands print with exit code 2.
"""
