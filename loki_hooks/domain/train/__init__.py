"""The merge train: order, bisection, predicted conflicts."""
