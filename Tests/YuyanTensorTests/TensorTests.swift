import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTensor

@Suite("Tensor")
struct TensorTests {
    @Test("keeps its elements in row-major order under any shape")
    func shapes() {
        let values = noise(30, 24)
        let tensor = Tensor(values, shape: [2, 3, 4])
        #expect(tensor.count == 24 && tensor.width == 4 && tensor.rowCount == 6)
        #expect(tensor.values == values)
        for row in 0..<6 {
            #expect(tensor.row(row) == Array(values[row * 4..<row * 4 + 4]))
            #expect(tensor.withRow(row) { Array($0) } == tensor.row(row))
        }
        let flat = tensor.reshaped(to: [24])
        #expect(flat.shape == [24] && flat.values == values && flat.rowCount == 1)
        #expect(Tensor([], shape: [0, 5]).values.isEmpty)
        #expect(Tensor([3], shape: []).width == 1)
    }

    @Test("traps when shapes do not fit")
    func misfits() async {
        await #expect(processExitsWith: trap) { _ = Tensor([1, 2, 3], shape: [2, 2]) }
        await #expect(processExitsWith: trap) {
            _ = Tensor([1, 2, 3, 4], shape: [4]).reshaped(to: [3])
        }
        await #expect(processExitsWith: trap) { _ = Tensor([1, 2], shape: [2, 1]).row(2) }
        await #expect(processExitsWith: trap) {
            let (a, b) = (Tensor([1, 2], shape: [2]), Tensor([1, 2], shape: [1, 2]))
            _ = add(a, b, on: Device(threads: 1))
        }
        await #expect(processExitsWith: trap) {
            let x = Tensor([1, 2, 3], shape: [1, 3])
            let weight = Tensor([1, 2], shape: [2])
            _ = rmsNorm(x, weight: weight, epsilon: 1e-6, on: Device(threads: 1))
        }
        await #expect(processExitsWith: trap) {
            _ = gathered(
                Tensor([1, 2], shape: [2, 1]), rows: [2], on: Device(threads: 1))
        }
    }

    @Test("widens a checkpoint's floats exactly and refuses its integers")
    func entries() throws {
        let image = SafetensorsImage(
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"#
                + #""b":{"dtype":"F16","shape":[2],"data_offsets":[8,12]},"#
                + #""c":{"dtype":"BF16","shape":[1,2],"data_offsets":[12,16]},"#
                + #""d":{"dtype":"I32","shape":[1],"data_offsets":[16,20]}}"#,
            data: little(Float(1.1).bitPattern) + little(Float(-0.0).bitPattern)
                + little(UInt16(1)) + little(UInt16(0xC500)) + little(UInt16(0x3FC0))
                + little(UInt16(0x0001)) + little(Int32(5)))
        let file = try SafetensorsFile(file: MappedFile(bytes: image.bytes, name: "image"))
        #expect(try Tensor(file.tensor("a")).values.bits == [1.1, -0.0].bits)
        #expect(try Tensor(file.tensor("b")).values == [0x1p-24, -5])
        #expect(try Tensor(file.tensor("c")).values == [1.5, 0x1p-133])
        #expect(try Tensor(file.tensor("c")).shape == [1, 2])
        #expect(throws: WeightError.self) { try Tensor(file.tensor("d")) }
    }
}
