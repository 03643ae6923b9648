"""The reference with one fault: pieces run in the order of their data, whatever they write."""

from piecewise_conformance.mutation.planting import load

subject = load("split-sorted-by-data")
