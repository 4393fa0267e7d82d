"""The Hugging Face Hub: the files it wants beside a release, and releases uploaded and fetched.

`claims` is what these files may say of the evaluation, and holds them to the evidence; `card` writes them, `location`
reads `hf://owner/name`, `push` uploads a published folder and `fetch` downloads one. `huggingface_hub` is imported only
where it is used.
"""
