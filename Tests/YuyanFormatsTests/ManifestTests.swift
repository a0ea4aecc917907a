import TestSupport
import Testing
import YuyanFormats

@Suite("Goldens")
struct ManifestTests {
    @Test("are all listed in the manifest and unchanged")
    func manifest() throws {
        let text = try read("MANIFEST.sha256")
        var listed: [String: String] = [:]
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
            try #require(parts.count == 2, "line '\(line)'")
            let name = String(parts[1].drop { $0 == " " })
            #expect(listed.updateValue(String(parts[0]), forKey: name) == nil, "\(name) twice")
        }
        let files = names(under: "").filter { $0 != "MANIFEST.sha256" }
        #expect(!files.isEmpty)
        #expect(Set(files) == Set(listed.keys), "run Tools/goldens/manifest.py")
        for file in files where listed[file] != nil {
            #expect(sha256(try read(file)) == listed[file], "\(file) changed")
        }
    }

    @Test("have digests computed as FIPS 180-4 says")
    func knownDigests() {
        #expect(
            sha256([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(
            sha256(Array("abc".utf8))
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        let two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
        #expect(
            sha256(Array(two.utf8))
                == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
        #expect(
            sha256([UInt8](repeating: 0x61, count: 1_000_000))
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
        // Zeros around the edges of the padding, computed with Python's hashlib.
        let zeros = [
            55: "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7",
            56: "d4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb",
            63: "c7723fa1e0127975e49e62e753db53924c1bd84b8ac1ac08df78d09270f3d971",
            64: "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b",
        ]
        for (count, digest) in zeros {
            #expect(sha256([UInt8](repeating: 0, count: count)) == digest, "\(count)")
        }
    }

    private func read(_ name: String) throws -> [UInt8] {
        let file = try MappedFile(path: Goldens.path(name))
        return file.withUnsafeBytes(in: 0..<file.count) { Array($0) }
    }

    private func names(under folder: String) -> [String] {
        itemNames(in: Goldens.path(folder)).flatMap { name in
            let path = folder.isEmpty ? name : folder + "/" + name
            let inner = names(under: path)
            return inner.isEmpty ? [path] : inner
        }
    }
}
