"""What is done to channels before they are rounded: shift, smooth, outliers, split."""
