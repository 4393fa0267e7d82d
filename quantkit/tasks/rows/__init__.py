"""Dataset files of any common form become rows (`formats`), and columns have a meaning (`columns`)."""
