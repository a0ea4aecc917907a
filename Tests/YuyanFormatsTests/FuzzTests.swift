import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

private let fuzzCount = getenv("YUYAN_FUZZ").flatMap { Int(String(cString: $0)) } ?? 0

@Suite("Fuzzing (YUYAN_FUZZ=count inputs per reader)", .enabled(if: fuzzCount > 0))
struct FuzzTests {
    @Test("GGUF images are refused or read")
    func gguf() {
        var mutations = Mutations(of: GGUFImage.sample().bytes, seed: UInt64(fuzzCount))
        for _ in 0..<fuzzCount { _ = survivesGGUF(mutations.next()) }
    }

    @Test("safetensors images are refused or read")
    func safetensors() {
        var mutations = Mutations(of: SafetensorsImage.sample.bytes, seed: UInt64(fuzzCount))
        for _ in 0..<fuzzCount { _ = survivesSafetensors(mutations.next()) }
    }

    @Test("JSON texts are refused or read")
    func json() {
        var mutations = Mutations(of: Array(jsonSample.utf8), seed: UInt64(fuzzCount))
        for _ in 0..<fuzzCount { _ = survivesJSON(mutations.next()) }
    }
}
