import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTensor

@Suite("Packed weights")
struct PackedMatrixTests {
    private static let types: [(String, ElementType)] = [
        ("f16", .f16), ("bf16", .bf16), ("q4_0", .q4_0), ("q4_1", .q4_1), ("q5_0", .q5_0),
        ("q5_1", .q5_1), ("q8_0", .q8_0), ("q4_k", .q4_K), ("q5_k", .q5_K), ("q6_k", .q6_K),
    ]

    @Test(
        "give the reference dequantiser's values to the bit, row by row",
        arguments: types, ["quantized", "random"])
    func rows(_ type: (name: String, element: ElementType), _ kind: String) throws {
        let golden = try GoldenFile("blocks/\(type.name).safetensors")
        let shape = try golden.shape("\(kind).values")
        let expected = try golden.floats("\(kind).values")
        let device = Device(threads: 1)
        let matrix = try packed(
            golden.bytes("\(kind).bytes"), rows: shape[0], columns: shape[1], type.element,
            on: device)
        #expect(matrix.rows == shape[0] && matrix.columns == shape[1])
        for row in 0..<shape[0] {
            let values = expected[row * shape[1]..<(row + 1) * shape[1]]
            #expect(
                matrix.row(row).bits == FloatBits(values),
                "\(type.name), \(kind), row \(row)")
        }
        // The embedding gather reads the same rows, in any order and more than once.
        let ids = (0..<40).map { Int32($0 * 7 % shape[0]) }
        let gathered = embedding(ids, table: matrix, on: Device(threads: 2))
        for (index, id) in ids.enumerated() {
            #expect(gathered.row(index).bits == matrix.row(Int(id)).bits)
        }
    }

    @Test(
        "hold all 65536 16-bit floats", arguments: [("F16", ElementType.f16), ("BF16", .bf16)])
    func tables(_ type: (name: String, element: ElementType)) throws {
        let cases = try JSONDocument(path: Goldens.path("blocks/cases.json"))
        let sum = try cases.root.object("tables").object(type.name).string("sha256")
        let bytes = (0...UInt16.max).flatMap { little($0) }
        let matrix = try packed(
            bytes, rows: 256, columns: 256, type.element, on: Device(threads: 1))
        let values = (0..<256).flatMap { matrix.row($0) }
        #expect(sha256(values.bits.patterns.flatMap { little($0) }) == sum)
    }

    @Test("put the file's rows in any order asked for", arguments: WeightFormat.stored)
    func rowOrder(_ format: WeightFormat) throws {
        let device = Device(threads: 3)
        var random = SeededGenerator(seed: 11)
        let columns = format.isFloat ? 50 : 2 * format.elements
        for rows in [1, 15, 16, 17, 50] {
            let bytes = format.rows(rows, columns: columns, .ordinary, &random)
            let order = Array(0..<rows).shuffled(using: &random)
            let plain = try packed(
                bytes, rows: rows, columns: columns, format.elementType, on: device)
            let permuted = try packed(
                bytes, rows: rows, columns: columns, format.elementType, rowOrder: order,
                on: device)
            for row in 0..<rows {
                #expect(permuted.row(row).bits == plain.row(order[row]).bits)
            }
        }
    }

    @Test(
        "refuse types without kernels, by name",
        arguments: [ElementType.i8, .i32, .f64, .q8_K, .q2_K, .iq4_nl, .mxfp4])
    func unsupported(_ type: ElementType) throws {
        let columns = 256
        let bytes = [UInt8](repeating: 0, count: 2 * columns * 8)
        let found = columns / type.elementsPerBlock * type.bytesPerBlock * 2
        #expect {
            try packed(
                Array(bytes.prefix(found)), rows: 2, columns: columns, type, on: Device(threads: 1))
        } throws: { error in
            guard case WeightError.unsupportedType("weight", "image", type.name, _) = error else {
                return false
            }
            return "\(error)".contains("q4_0") || "\(error)".contains("Q4_0")
        }
    }

    @Test("refuse a row outside the matrix")
    func outside() async {
        await #expect(processExitsWith: trap) {
            let device = Device(threads: 1)
            let matrix = try packed([1, 2, 3, 4], rows: 2, columns: 2, on: device)
            _ = matrix.row(2)
        }
    }
}
