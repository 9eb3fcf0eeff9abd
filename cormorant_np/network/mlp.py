"""A multi-layer perceptron with one hidden layer, for QM9 (sections 1.3.2 and 1.5.2)."""

from cormorant_np.backend import get_array_module


def linear_forward(weight, bias, x):
    """y = W x + b for columns x; W and b may be complex.

    Parameters
    ----------
    weight : (n_out, n_in)
    bias : (n_out,)
    x : (n_in, ...)

    Returns
    -------
    y : (n_out, ...)
    cache
    """
    y = weight @ x.reshape(len(x), -1) + bias[:, None]
    return y.reshape(-1, *x.shape[1:]), (weight, x)


def linear_backward(d_y, cache):
    """dW = dy x†,  db = Σ dy,  dx = W† dy, whose real part it is where x is real."""
    weight, x = cache
    d = d_y.reshape(len(d_y), -1)
    d_x = weight.conj().T @ d if x.dtype == d.dtype else (weight.conj().T @ d).real
    return d @ x.reshape(len(x), -1).conj().T, d.sum(axis=1), d_x.reshape(x.shape)


def relu_forward(x, slope):
    """max(x, 0) + slope · min(x, 0): ReLU for slope 0, leaky ReLU else."""
    xp = get_array_module(x)
    factor = xp.where(x > 0, 1, slope).astype(x.dtype)
    return factor * x, factor


def relu_backward(d_y, cache):
    """dx = dy where x > 0, slope · dy elsewhere."""
    return cache * d_y


def mlp_forward(params, name, x, slope):
    """W_1 relu(W_0 x + b_0) + b_1.

    Parameters
    ----------
    params : dict with `name`.weight.0, `name`.bias.0, `name`.weight.1, `name`.bias.1
    name : str
    x : (n_in, ...)
    slope : of the (leaky) ReLU

    Returns
    -------
    y : (n_out, ...)
    cache
    """
    hidden, cache_0 = linear_forward(params[f"{name}.weight.0"], params[f"{name}.bias.0"], x)
    active, relu_cache = relu_forward(hidden, slope)
    y, cache_1 = linear_forward(params[f"{name}.weight.1"], params[f"{name}.bias.1"], active)
    return y, (name, cache_0, relu_cache, cache_1)


def mlp_backward(d_y, cache):
    """The three steps in reverse: the gradients by the parameters, a dict with their names, and by x."""
    name, cache_0, relu_cache, cache_1 = cache
    d_weight_1, d_bias_1, d_active = linear_backward(d_y, cache_1)
    d_weight_0, d_bias_0, d_x = linear_backward(relu_backward(d_active, relu_cache), cache_0)
    grads = {
        f"{name}.weight.0": d_weight_0,
        f"{name}.bias.0": d_bias_0,
        f"{name}.weight.1": d_weight_1,
        f"{name}.bias.1": d_bias_1,
    }
    return grads, d_x


def sides_of_kinks(cache):
    """Where the hidden numbers of an `mlp_forward` are above zero; their ReLU has its kink between the two sides."""
    _, _, factor, _ = cache
    return factor == 1
