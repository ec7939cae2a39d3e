"""The solve going backward: one step transposed, the sweep over all of them, what is kept."""
