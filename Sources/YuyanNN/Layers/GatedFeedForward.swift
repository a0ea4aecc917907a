import YuyanTensor

/// `down(silu(gate(x)) * up(x))`: SwiGLU (Shazeer, arXiv:2002.05202).
public final class GatedFeedForward: Sendable {
    let gate: any Projection  // [F, C]
    let up: any Projection  // [F, C]
    let down: any Projection  // [C, F]

    /// Widths: `gate` and `up` map C to F, `down` maps F back to C.
    public init(gate: any Projection, up: any Projection, down: any Projection) {
        self.gate = gate
        self.up = up
        self.down = down
    }

    func callAsFunction(_ x: Tensor, adapters: AdapterRows?, on device: Device) -> Tensor {
        let parts = project(x, [gate, up], adapters: adapters, on: device)
        return down(
            swiglu(gate: parts[0], up: parts[1], on: device), adapters: adapters, on: device)
    }
}
