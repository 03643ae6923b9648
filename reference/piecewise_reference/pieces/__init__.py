"""The compiled pieces, and how the stitched graph calls them."""
