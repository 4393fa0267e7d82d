"""SmoothQuant: channels of an activation that stick out are made smaller, and the weights that read them larger.

One 8-bit range for a whole tensor is as wide as its widest channel, so narrow channels get few of the 256 levels. With
factors s the product is unchanged, x W = (x / s)(s W), and the channels of x / s are more alike (Xiao et al. 2023,
"SmoothQuant"). s W is quantized with a scale per output, which feels it less.

`alpha` chooses the factors by the paper's formula, `least_error` by the output error that is to be expected; `fold`
puts them into the graph.
"""

from quantkit.quantization.treatments.smooth.treatment import Factors, Smooth

__all__ = ["Factors", "Smooth"]
