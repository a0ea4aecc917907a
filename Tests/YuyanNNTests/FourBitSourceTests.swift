import TestSupport
import Testing
import YuyanFormats

@testable import YuyanNN
@testable import YuyanTensor

@Suite("Four-bit source")
struct FourBitSourceTests {
    private let up = "model.layers.0.mlp.up_proj.weight"
    private let down = "model.layers.0.mlp.down_proj.weight"
    private let table = "model.embed_tokens.weight"
    private let gate = "model.layers.0.mlp.gate_proj.weight"

    private func float(_ name: String, _ seed: UInt32) -> FourBitWeight.StoredTensor {
        FourBitWeight.StoredTensor(
            name: name, elementType: .f32, shape: [40, 128],
            bytes: noise(seed, 40 * 128).flatMap { little($0.bitPattern) })
    }

    private func fourBit(_ values: [Float], on device: Device) throws -> FourBitWeight {
        let matrix = PackedMatrix(rows: 40, columns: 128, parameter: nil, on: device) {
            for column in 0..<128 { $1[column] = values[$0 * 128 + column] }
        }
        return try FourBitWeight(
            quantizing: matrix, name: "w", as: .fp4, doubleQuantized: true, on: device)
    }

    /// A directory with two matrices in float32 and one that is rounded already.
    private func checkpoint(_ folder: TemporaryFolder, on device: Device) throws -> Checkpoint {
        let stored =
            [float(up, 1), float(down, 2), float(table, 3)]
            + (try fourBit(noise(4, 40 * 128), on: device)).tensors(gate)
        var header: [String] = []
        var data: [UInt8] = []
        for tensor in stored {
            let end = data.count + tensor.bytes.count
            header.append(
                #""\#(tensor.name)":{"dtype":"\#(tensor.elementType.name)","#
                    + #""shape":\#(tensor.shape),"data_offsets":[\#(data.count),\#(end)]}"#)
            data += tensor.bytes
        }
        let text = "{" + header.joined(separator: ",") + "}"
        _ = folder.file("model.safetensors", SafetensorsImage(text, data: data).bytes)
        _ = folder.file("config.json", Array("{}".utf8))
        return try Checkpoint(path: folder.path)
    }

    private func matrix(
        _ source: some WeightSource, _ name: String, on device: Device
    ) throws -> PackedMatrix {
        try source.matrix(name, rows: 40, columns: 128, rowOrder: nil, on: device)
    }

    @Test("rounds projections, but not what is trained, the embedding and what is rounded already")
    func source() throws {
        let folder = TemporaryFolder()
        let device = Device(threads: 2)
        let checkpoint = try checkpoint(folder, on: device)
        let source = FourBitSource(checkpoint, as: .nf4, doubleQuantized: true) { [down] in
            $0 == down
        }
        let rounded = try matrix(source, up, on: device)
        #expect(rounded.elementType == .nf4 && rounded.isDoubleQuantized)
        let direct = try PackedMatrix(
            quantizing: checkpoint.entry(up, shape: [40, 128]), as: .nf4, doubleQuantized: true,
            on: device)
        #expect(rounded.fourBitWeight == direct.fourBitWeight)
        for kept in [down, table] {
            #expect(try matrix(source, kept, on: device).elementType == .f32, "\(kept)")
        }
        let expected = try fourBit(noise(4, 40 * 128), on: device)
        #expect(try matrix(source, gate, on: device).fourBitWeight == expected)
        // A checkpoint by itself reads them too, as they are.
        #expect(try matrix(checkpoint, gate, on: device).fourBitWeight == expected)
        #expect(try matrix(checkpoint, up, on: device).elementType == .f32)
    }

    @Test("names the tensor whose shape is another")
    func shapes() throws {
        let folder = TemporaryFolder()
        let device = Device(threads: 1)
        let checkpoint = try checkpoint(folder, on: device)
        let expected = CheckpointError.shape(
            name: gate, file: folder.path, expected: [128, 40], found: [40, 128])
        #expect(throws: expected) {
            _ = try checkpoint.matrix(gate, rows: 128, columns: 40, rowOrder: nil, on: device)
        }
    }
}
