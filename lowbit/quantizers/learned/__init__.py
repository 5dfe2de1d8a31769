"""Methods that learn: what a loss's gradient moves, weights, clips, scales, roundings, and how.

Gradients are HIPS autograd's (extra ``learn``); what rounds has an estimator in place of a gradient, which is 0.
"""
