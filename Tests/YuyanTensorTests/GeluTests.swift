import TestSupport
import Testing

@testable import YuyanTensor

@Suite("Gaussian error linear unit")
struct GeluTests {
    @Test(
        "agrees with PyTorch in both forms, far into the tails", arguments: InstructionSet.available
    )
    func golden(_ set: InstructionSet) throws {
        let golden = try GoldenFile("gradients/rows.safetensors")
        let device = Device(threads: 1, instructionSet: set)
        let grid = try golden.floats("gelu.grid")
        for (form, name) in [(Gelu.exact, "exact"), (.tanh, "tanh")] {
            let y = gelu(Tensor(grid, shape: [grid.count]), form, on: device).values
            // In the lower tail the exponent, up to 72 or 320, is rounded before it is raised.
            expectClose(
                y, try golden.floats("gelu.\(name).y"),
                Tolerance(absolute: 1e-30, relative: 400 * 0x1p-24), name)
            let (found, expected) = (zip(grid, y), try golden.floats("gelu.\(name).y"))
            let near = zip(found, expected).filter { abs($0.0.0) <= 3 }
            expectClose(
                near.map(\.0.1), near.map(\.1), Tolerance(absolute: 1e-30, relative: 24 * 0x1p-24),
                "\(name), near zero")
        }
    }
}
