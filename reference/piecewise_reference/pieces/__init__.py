"""The pieces as the stitched graph calls them, and how they get there."""
