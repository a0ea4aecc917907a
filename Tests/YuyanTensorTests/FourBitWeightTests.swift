import TestSupport
import Testing

@testable import YuyanFormats
@testable import YuyanTensor

@Suite("4-bit weights")
struct FourBitWeightTests {
    private static let cases = ["nf4", "fp4", "nf4.double", "fp4.double"]
    private static let (rows, columns) = (24, 128)

    /// The weights that `Tools/goldens/nf4.py` rounds.
    private func source(_ type: ElementType) -> [Float] {
        var x = noise(31, Self.rows * Self.columns).enumerated().map { index, value -> Float in
            let cube = value * value * value
            return cube * Float(sign: .plus, exponent: -(index / 64 % 9), significand: 1)
        }
        for row in [5, 7] {
            for column in 0..<Self.columns { x[row * Self.columns + column] = 0 }
        }
        let numbers = type.codeNumbers.sorted()
        x[7 * Self.columns] = 1
        for index in 0..<15 {
            x[7 * Self.columns + 1 + index] = (numbers[index] + numbers[index + 1]) / 2
        }
        return x
    }

    private func type(_ name: String) -> ElementType { name.hasPrefix("nf4") ? .nf4 : .fp4 }

    private func stored(_ name: String) throws -> (SafetensorsFile, FourBitWeight) {
        let file = try SafetensorsFile(path: Goldens.path("optim/four-bit.safetensors"))
        let weight = try FourBitWeight(file.tensor(name + ".weight")) { try? file.tensor($0) }
        return (file, try #require(weight))
    }

    private func entry(_ values: [Float], _ shape: [Int]) -> TensorEntry {
        let bytes = values.flatMap { little($0.bitPattern) }
        return TensorEntry.zeros(.f32, shape: shape, name: "w").replacing(bytes)
    }

    @Test("round to bitsandbytes' codes and scales, bit for bit", arguments: cases, [1, 3])
    func quantize(_ name: String, _ threads: Int) throws {
        let (_, expected) = try stored(name)
        let device = Device(threads: threads)
        let found = try FourBitWeight(
            quantizing: entry(source(type(name)), [Self.rows, Self.columns]), as: type(name),
            doubleQuantized: name.hasSuffix("double"), on: device)
        #expect(found.codes == expected.codes)
        switch (found.scales, expected.scales) {
        case (.plain(let found), .plain(let expected)):
            #expect(FloatBits(found) == FloatBits(expected))
        case (
            .nested(let indices, let groups, let offset),
            .nested(let expectedIndices, let expectedGroups, let expectedOffset)
        ):
            #expect(indices == expectedIndices)
            #expect(FloatBits(groups) == FloatBits(expectedGroups))
            #expect(offset == expectedOffset)
        default: Issue.record("scales of another kind")
        }
    }

    @Test("widen to bitsandbytes' values, bit for bit, from panels too", arguments: cases)
    func widen(_ name: String) throws {
        let (file, weight) = try stored(name)
        let values = try GoldenFile("optim/four-bit.safetensors").floats(name + ".values")
        let matrix = PackedMatrix(weight, on: Device(threads: 2))
        #expect(matrix.isDoubleQuantized == name.hasSuffix("double"))
        #expect(matrix.elementType == type(name))
        for row in 0..<Self.rows {
            let expected = values[row * Self.columns..<(row + 1) * Self.columns]
            #expect(FloatBits(matrix.row(row)) == FloatBits(expected), "row \(row)")
        }
        #expect(try file.tensor(name + ".weight").shape == [Self.rows * Self.columns / 2, 1])
        #expect(matrix.fourBitWeight == weight)
    }

    @Test("go into the tensors that bitsandbytes writes, and come back", arguments: cases)
    func tensors(_ name: String) throws {
        let (file, weight) = try stored(name)
        let written = weight.tensors(name + ".weight")
        let names = file.tensors.map(\.name).filter { $0.hasPrefix(name + ".weight") }
        #expect(Set(written.map(\.name)) == Set(names))
        for tensor in written {
            let expected = try file.tensor(tensor.name)
            #expect(tensor.elementType == expected.elementType, "\(tensor.name)")
            #expect(tensor.shape == expected.shape, "\(tensor.name)")
            #expect(tensor.bytes == expected.withUnsafeBytes { Array($0) }, "\(tensor.name)")
            #expect(
                tensor.name == name + ".weight"
                    || FourBitWeight.endings.contains {
                        tensor.name == name + ".weight" + $0
                    })
        }
    }

    @Test("come from every stored type, in any order of rows, as from its widened values")
    func fromFormats() throws {
        let device = Device(threads: 2)
        var random = SeededGenerator(seed: 5)
        for format in WeightFormat.stored {
            let (rows, columns) = (37, 512)
            let bytes = format.rows(rows, columns: columns, .ordinary, &random)
            let order = Array(0..<rows).shuffled(using: &random)
            let wide = try packed(
                bytes, rows: rows, columns: columns, format.elementType, rowOrder: order,
                on: device)
            let values = (0..<rows).flatMap { wide.row($0) }
            let file = MappedFile(bytes: bytes, name: "w")
            let stored = TensorEntry(
                name: "w", elementType: format.elementType, shape: [rows, columns], file: file,
                byteRange: 0..<bytes.count)
            let direct = try FourBitWeight(
                quantizing: stored, as: .nf4, doubleQuantized: true, rowOrder: order, on: device)
            let widened = try FourBitWeight(
                quantizing: entry(values, [rows, columns]), as: .nf4, doubleQuantized: true,
                on: device)
            #expect(direct == widened, "\(format)")
            #expect(
                try FourBitWeight(
                    quantizing: wide, name: "w", as: .nf4, doubleQuantized: true, on: device)
                    == widened, "\(format)")
        }
    }

    @Test(
        "keep groups of 256 scales that begin and end inside of rows", arguments: [64, 192, 20_032])
    func groups(_ columns: Int) throws {
        let device = Device(threads: 2)
        let rows = columns > 10_000 ? 5 : 300
        let weight = try FourBitWeight(
            quantizing: entry(
                noise(4, rows * columns).enumerated().map {
                    $1 * Float(1 + $0 / 64 % 300)
                }, [rows, columns]), as: .nf4, doubleQuantized: true, on: device)
        guard case .nested(let indices, let groups, let offset) = weight.scales else {
            Issue.record("plain scales")
            return
        }
        #expect(groups.count > 1)
        let matrix = PackedMatrix(weight, on: device)
        #expect(matrix.fourBitWeight == weight)
        let numbers = ElementType.nf4.codeNumbers
        for row in [0, 1, rows / 2, rows - 1] {
            let expected = (0..<columns).map { column -> Float in
                let index = row * columns + column
                let pair = weight.codes[index / 2]
                let code = index % 2 == 0 ? pair >> 4 : pair & 15
                let scale =
                    DynamicMap.signed.values[Int(indices[index / 64])]
                    * groups[index / 64 / 256]
                return numbers[Int(code)] * (scale + offset)
            }
            #expect(FloatBits(matrix.row(row)) == FloatBits(expected), "row \(row)")
        }
    }

    @Test("lose what bitsandbytes loses of normal numbers", arguments: cases)
    func errors(_ name: String) throws {
        let document = try JSONDocument(path: Goldens.path("optim/four-bit.json"))
        let reference = try document.root.object("mean_absolute_error").double(name)
        let random = CounterRandom(seed: 11)
        let (rows, columns) = (256, 1024)
        let values = (0..<rows * columns).map { random.normal(position: UInt64($0)) }
        let device = Device(threads: 2)
        let matrix = try PackedMatrix(
            quantizing: entry(values, [rows, columns]), as: type(name),
            doubleQuantized: name.hasSuffix("double"), on: device)
        var sum = 0.0
        for row in 0..<rows {
            for (found, exact) in zip(matrix.row(row), values[(row * columns)...]) {
                sum += Double(abs(found - exact))
            }
        }
        let error = sum / Double(rows * columns)
        #expect(abs(error - reference) < 0.005 * reference, "\(error), \(reference)")
    }

    @Test("take the memory that was predicted")
    func memory() throws {
        let device = Device(threads: 1)
        for doubleQuantized in [false, true] {
            let matrix = try PackedMatrix(
                quantizing: entry(noise(1, 40 * 1536), [40, 1536]), as: .nf4,
                doubleQuantized: doubleQuantized, on: device)
            #expect(
                matrix.byteCount
                    == ElementType.nf4.packedByteCount(
                        rows: 40, columns: 1536, doubleQuantized: doubleQuantized))
            let bits = 8 * Double(matrix.byteCount) / (48 * 1536)
            #expect(abs(bits - (doubleQuantized ? 4.21 : 4.5)) < 0.02, "\(bits) bits a weight")
        }
    }

    @Test("multiply widened in either precision")
    func precision() throws {
        let weight = try FourBitWeight(
            quantizing: entry(noise(1, 40 * 192), [40, 192]), as: .nf4, doubleQuantized: true,
            on: Device(threads: 1))
        for tokens in [1, 5, 40] {
            let x = Tensor(noise(2, tokens * 192), shape: [tokens, 192])
            let found = Precision.allCases.map { precision in
                let device = Device(threads: 2, precision: precision)
                return FloatBits(linear(x, PackedMatrix(weight, on: device), on: device).values)
            }
            let device = Device(threads: 1)
            let wide = PackedMatrix(
                widening: PackedMatrix(weight, on: device), parameter: nil, on: device)
            #expect(found[0] == FloatBits(linear(x, wide, on: device).values), "\(tokens) tokens")
            #expect(found[0] == found[1])
        }
    }

    @Test("refuse what is no number, and shapes that blocks do not fit")
    func bad() throws {
        let device = Device(threads: 2)
        var values = noise(1, 40 * 64)
        values[17 * 64 + 3] = .nan
        values[30 * 64] = .infinity
        #expect(throws: WeightError.notFinite(name: "w", file: "w", row: 17)) {
            try FourBitWeight(
                quantizing: entry(values, [40, 64]), as: .nf4, doubleQuantized: false, on: device)
        }
        for shape in [[40, 32], [2560], [40, 96]] {
            #expect {
                try FourBitWeight(
                    quantizing: entry(noise(1, shape.reduce(1, *)), shape), as: .fp4,
                    doubleQuantized: true, on: device)
            } throws: {
                guard case WeightError.shape("w", "w", _, shape) = $0 else { return false }
                return "\($0)".contains("64")
            }
        }
        #expect {
            try FourBitWeight(
                quantizing: TensorEntry.zeros(.i8, shape: [4, 64], name: "w"), as: .nf4,
                doubleQuantized: false, on: device)
        } throws: {
            guard case WeightError.unsupportedType("w", _, "I8", let supported) = $0 else {
                return false
            }
            return !supported.contains("NF4")
        }
    }

    @Test("refuse stored parts that do not fit, by the tensor's name")
    func badTensors() throws {
        let (file, weight) = try stored("nf4.double")
        #expect(try FourBitWeight(file.tensor("nf4.values")) { try? file.tensor($0) } == nil)
        func read(_ change: @escaping (String) -> TensorEntry?) throws {
            _ = try FourBitWeight(file.tensor("nf4.double.weight")) {
                change($0) ?? (try? file.tensor($0))
            }
        }
        let name = "nf4.double.weight"
        #expect {
            _ = try FourBitWeight(file.tensor(name)) {
                $0.hasSuffix(".nested_quant_map") ? nil : try? file.tensor($0)
            }
        } throws: {
            guard case FormatError.missingTensor(name + ".nested_quant_map", _, _) = $0 else {
                return false
            }
            return true
        }
        for (ending, replacement) in [
            (".absmax", "nf4.weight.absmax"), (".quant_map", "fp4.weight.quant_map"),
            (".nested_absmax", "nf4.weight.quant_map"),
        ] {
            #expect {
                try read {
                    $0 == name + ending ? try? file.tensor(replacement) : nil
                }
            } throws: {
                guard case FormatError.badValue(_, name + ending, _, _) = $0 else { return false }
                return true
            }
        }
        let state = weight.tensors(name).first { $0.name.contains("quant_state") }
        let text = String(decoding: try #require(state).bytes, as: UTF8.self)
        for (from, to) in [
            ("\"blocksize\": 64", "\"blocksize\": 128"), ("[24, 128]", "[96, 32]"),
            ("[24, 128]", "[48, 128]"), ("\"nf4\"", "\"fp4\""),
            ("\"nested_blocksize\": 256", "\"nested_blocksize\": 64"),
        ] {
            let bytes = Array(text.replacing(from, with: to).utf8)
            let changed = TensorEntry.zeros(.u8, shape: [bytes.count], name: "s").replacing(bytes)
            #expect(throws: FormatError.self, "\(to)") {
                try read { $0.contains("quant_state.bitsandbytes__nf4") ? changed : nil }
            }
        }
    }
}

extension TensorEntry {
    /// The same tensor with other contents.
    fileprivate func replacing(_ bytes: [UInt8]) -> TensorEntry {
        TensorEntry(
            name: name, elementType: elementType, shape: shape,
            file: MappedFile(bytes: bytes, name: file.path), byteRange: 0..<bytes.count)
    }
}
