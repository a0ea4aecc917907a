import CYuyanKernels

/// The two forms of the Gaussian error linear unit (Hendrycks and Gimpel, arXiv:1606.08415).
public enum Gelu: Sendable, Hashable {
    /// `x Φ(x)`, Φ the integral of the normal distribution: ViT, BERT.
    case exact
    /// `x / (1 + exp(-2 z))` with `z = sqrt(2 / π) (x + 0.044715 x³)`: GPT-2.
    case tanh

    var code: yk_gelu { self == .exact ? YK_GELU_ERF : YK_GELU_TANH }
}

/// The Gaussian error linear unit, element by element.
public func gelu(_ x: Tensor, _ form: Gelu, on device: Device) -> Tensor {
    let kernel = device.kernels.table.pointee.gelu
    var out = Tensor(uninitialized: x.shape)
    forEachRow(x.rowCount, width: x.width * 4, on: device) { row in
        let at = row * x.width
        kernel?(form.code, x.pointer + at, x.width, out.pointer + at)
    }
    device.record("gelu", &out, from: [x.source]) { [source = x.source, saved = SavedTensor(x)] in
        { dy, gradients in
            let device = gradients.device
            gradients.add(
                geluGradient(saved.tensor(on: device), form, dy: dy, on: device), to: source)
        }
    }
    if device.keepsRecipes {
        let saved = SavedTensor(x)
        out.recipe = Recipe { gelu(saved.tensor(on: $0), form, on: $0) }
    }
    return out
}
