"""What the checks of backward functions in test_gradients.py and plain_checks.py are made of."""

import dataclasses

import numpy as np
from conftest import QM9, random_params

CHECKS = {}


def check_of(*names):
    """Register a function (config, rng) → forward, backward, inputs as the check of the backward functions `names`."""

    def register(case):
        CHECKS.update(dict.fromkeys(names, case))
        return case

    return register


def join(arrays):
    """Several outputs as one vector, since `backward_errors` wants one."""
    return np.concatenate([a.ravel() for a in arrays])


def split(vector, like):
    """The inverse of `join`; real arrays get real numbers."""
    parts = np.split(vector, np.cumsum([a.size for a in like])[:-1])
    return [(p if np.iscomplexobj(a) else p.real).reshape(a.shape) for p, a in zip(parts, like, strict=True)]


def without_cache(forward, backward):
    """Functions of one array that need no cache, as the checks want them."""
    return lambda x: (forward(x), None), lambda d, _: backward(d)


def leaves(tree):
    """The arrays in nested lists, tuples and dicts, in order; those of a dict in the order of its keys' names."""
    if isinstance(tree, dict):
        tree = [tree[key] for key in sorted(tree)]
    return [leaf for branch in tree for leaf in leaves(branch)] if isinstance(tree, list | tuple) else [tree]


def rebuilt(tree, arrays):
    """The inverse of `leaves`: nested like `tree`, with these arrays, an iterator."""
    if isinstance(tree, dict):
        return {key: rebuilt(tree[key], arrays) for key in sorted(tree)}
    return [rebuilt(branch, arrays) for branch in tree] if isinstance(tree, list | tuple) else next(arrays)


def nested(forward, backward, *inputs):
    """A case for forward(*inputs) → *outputs, cache and backward(*d_outputs, cache) → gradients of nested arrays.

    The gradients must have the inputs' shapes, in their order.
    """

    def forward_of_arrays(*arrays):
        *outputs, cache = forward(*rebuilt(inputs, iter(arrays)))
        return join(leaves(outputs)), (outputs, cache)

    def backward_of_arrays(d, caches):
        outputs, cache = caches
        gradients = leaves(backward(*rebuilt(outputs, iter(split(d, leaves(outputs)))), cache))
        assert [g.shape for g in gradients] == [x.shape for x in leaves(inputs)]
        return tuple(gradients)

    return forward_of_arrays, backward_of_arrays, leaves(inputs)


def by_params(forward, backward, params, *others):
    """A case for forward(params, *others), whose backward gives a dict of gradients, and those by the others."""

    def by_values(*inputs):
        values, others = inputs[: len(params)], inputs[len(params) :]
        return forward(dict(zip(params, values, strict=True)), *others)

    def backward_by_values(d, cache):
        grads, *d_others = backward(d, cache)
        return *(grads[name] for name in params), *d_others

    return by_values, backward_by_values, [*params.values(), *others]


def qm9_params(config, rng, part):
    """QM9's network in the convention of `config`, and its parameters whose names start with `part`."""
    config = dataclasses.replace(config, **QM9)
    return config, {name: p for name, p in random_params(config, rng).items() if name.startswith(part)}
