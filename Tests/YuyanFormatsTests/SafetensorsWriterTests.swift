import TestSupport
import Testing
import YuyanFormats

@Suite("Writing safetensors")
struct SafetensorsWriterTests {
    private let folder = TemporaryFolder()

    private func stored(_ entry: TensorEntry) -> [UInt8] { entry.withUnsafeBytes { Array($0) } }

    @Test("a file of every type comes back as it was, with its metadata")
    func roundTrip() throws {
        let golden = try SafetensorsFile(path: Goldens.path("formats/kinds.safetensors"))
        let path = folder.path + "/copy.safetensors"
        try SafetensorsWriter(metadata: [("format", "pt"), ("名", "雨燕\n")])
            .write(golden.tensors.map { TensorSource(copying: $0) }, to: path)
        let copy = try SafetensorsFile(path: path)
        #expect(copy.metadata == ["format": "pt", "名": "雨燕\n"])
        #expect(Set(copy.tensors.map(\.name)) == Set(golden.tensors.map(\.name)))
        for entry in golden.tensors {
            let other = try copy.tensor(entry.name)
            #expect(other.shape == entry.shape && other.elementType == entry.elementType)
            #expect(stored(other) == stored(entry), "\(entry.name)")
        }
    }

    @Test("every tensor is aligned to its elements, and equal widths keep their order")
    func alignment() throws {
        let path = folder.path + "/a.safetensors"
        try SafetensorsWriter().write(
            [
                TensorSource(name: "b", elementType: .u8, shape: [3], bytes: [1, 2, 3]),
                TensorSource(name: "z", shape: [1], values: [1], as: .f16),
                TensorSource(name: "y", shape: [2], values: [1, 2]),
                TensorSource(name: "a", shape: [], values: [3]),
            ], to: path)
        let file = try SafetensorsFile(path: path)
        #expect(file.tensors.map(\.name) == ["y", "a", "z", "b"])
        for entry in file.tensors {
            #expect(entry.byteRange.lowerBound.isMultiple(of: entry.elementType.bytesPerBlock))
        }
        #expect(file.tensors[0].byteRange.lowerBound.isMultiple(of: 8))
        #expect(file.metadata == ["format": "pt"])
    }

    @Test("narrow floats are rounded to the nearest, ties to even, and overflow is refused")
    func rounding() throws {
        let path = folder.path + "/r.safetensors"
        let ties: [UInt32] = [0x3F80_8000, 0x3F81_8000, 0x3F80_8001, 0x7F80_0000, 0xFF80_0000]
        let values = ties.map { Float(bitPattern: $0) } + [.nan]
        try SafetensorsWriter().write(
            [TensorSource(name: "x", shape: [6], values: values, as: .bf16)], to: path)
        let bytes = stored(try SafetensorsFile(path: path).tensor("x"))
        let halves = stride(from: 0, to: 12, by: 2).map {
            UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8
        }
        #expect(Array(halves[..<5]) == [0x3F80, 0x3F82, 0x3F81, 0x7F80, 0xFF80])
        #expect(halves[5] & 0x7FFF > 0x7F80, "NaN must stay NaN")
        for (value, type) in [(65520, .f16), (Float.greatestFiniteMagnitude, .bf16)]
            as [(Float, ElementType)]
        {
            #expect {
                try SafetensorsWriter().write(
                    [TensorSource(name: "w", shape: [1], values: [value], as: type)], to: path)
            } throws: { error in
                guard case .badValue(path, "w", _, _)? = error as? FormatError else { return false }
                return true
            }
        }
        // What was there stays.
        #expect(try SafetensorsFile(path: path).tensors.map(\.name) == ["x"])
        try SafetensorsWriter().write(
            [TensorSource(name: "w", shape: [1], values: [65519], as: .f16)], to: path)
    }

    @Test("a model is cut into shards that its index lists, in the order of its tensors")
    func shards() throws {
        let tensors = (0..<5).map { index in
            TensorSource(name: "t\(index)", shape: [2, 4], as: .f32) { row in
                (0..<4).map { Float(index * 100 + row * 10 + $0) }
            }
        }
        let whole = try SafetensorsWriter().writeModel(tensors, to: folder.path)
        #expect(whole == ["model.safetensors"] && folder.names == whole)
        let files = try SafetensorsWriter().writeModel(
            tensors, to: folder.path, maximumShardBytes: 70)
        #expect(files == (1...3).map { "model-0000\($0)-of-00003.safetensors" })
        #expect(folder.names == files + ["model.safetensors.index.json"])
        let model = try CheckpointDirectory(path: folder.path)
        #expect(model.tensors.map(\.name) == ["t0", "t1", "t2", "t3", "t4"])
        let bytes = stored(try model.tensor("t3"))
        #expect(bytes[20..<24].elementsEqual(little(Float(311).bitPattern)))
        let index = try JSONDocument(path: folder.path + "/model.safetensors.index.json").root
        #expect(try index.object("metadata").int("total_size") == 160)
        // A tensor larger than a shard gets one of its own; the old index goes away with its model.
        #expect(
            try SafetensorsWriter().writeModel(tensors, to: folder.path, maximumShardBytes: 1)
                .count == 5)
        try SafetensorsWriter().writeModel(tensors, to: folder.path)
        #expect(try CheckpointDirectory(path: folder.path).tensors.count == 5)
        #expect(!folder.names.contains("model.safetensors.index.json"))
    }

    @Test("repeated names and types that the format lacks are refused, and nothing is written")
    func refusals() throws {
        let one = TensorSource(name: "a", shape: [1], values: [1])
        let quantised = TensorSource(
            name: "q", elementType: .q8_0, shape: [32],
            bytes: [UInt8](repeating: 0, count: 34))
        let path = folder.path + "/no.safetensors"
        #expect(throws: FormatError.duplicate(file: path, name: "a")) {
            try SafetensorsWriter().write([one, one], to: path)
        }
        #expect(throws: FormatError.self) { try SafetensorsWriter().write([quantised], to: path) }
        #expect(throws: FormatError.self) {
            try SafetensorsWriter().writeModel(
                [one, one], to: folder.path, maximumShardBytes: 4)
        }
        #expect(folder.names.isEmpty)
    }

    @Test("a full disk is an error that names the file")
    func fullDisk() {
        let tensor = TensorSource(name: "a", shape: [4], values: [1, 2, 3, 4])
        #expect {
            try SafetensorsWriter().write([tensor], to: "/proc/self/x.safetensors")
        } throws: { error in
            "\(error)".hasPrefix("/proc/self/x.safetensors: cannot be written")
        }
    }
}
