import TestSupport
import Testing
import YuyanFormats

@Suite("Element types")
struct ElementTypeTests {
    @Test("have the codes, names and sizes of the gguf package")
    func agreeWithReference() throws {
        let golden = try JSONDocument(path: Goldens.path("formats/tiny-gguf.json"))
        var covered: Set<ElementType> = []
        for row in try golden.root.array("types") {
            let code = UInt32(try row.int("code"))
            let type = try #require(ElementType(ggufCode: code), "code \(code)")
            #expect(type.name == (try row.string("name")))
            #expect(type.elementsPerBlock == (try row.int("elements")), "\(type)")
            #expect(type.bytesPerBlock == (try row.int("bytes")), "\(type)")
            #expect(type.ggufCode == code)
            covered.insert(type)
        }
        // The package has an outdated size for Q8_1; ggml-common.h: two float16 and 32 bytes.
        #expect(ElementType.q8_1.bytesPerBlock == 36)
        covered.insert(.q8_1)
        let expected = ElementType.allCases.filter { $0.ggufCode != nil }
        #expect(covered == Set(expected))
    }

    @Test("come back from their names and codes")
    func roundTrip() {
        for type in ElementType.allCases {
            if let code = type.ggufCode { #expect(ElementType(ggufCode: code) == type) }
            if let name = type.safetensorsName {
                #expect(ElementType(safetensorsName: name) == type)
            }
            let isStored = type.ggufCode != nil || type.safetensorsName != nil
            #expect(isStored == ![.nf4, .fp4].contains(type))
        }
        #expect(ElementType(ggufCode: 4) == nil)
        #expect(ElementType(ggufCode: .max) == nil)
        #expect(ElementType(safetensorsName: "f32") == nil)
        #expect(ElementType(safetensorsName: "Q4_0") == nil)
    }

    @Test("count bytes of whole blocks only, and never overflow")
    func byteCounts() {
        #expect(ElementType.f32.byteCount(elements: 0) == 0)
        #expect(ElementType.f32.byteCount(elements: 3) == 12)
        #expect(ElementType.q4_K.byteCount(elements: 512) == 288)
        #expect(ElementType.q4_K.byteCount(elements: 511) == nil)
        #expect(ElementType.f32.byteCount(elements: -1) == nil)
        #expect(ElementType.f32.byteCount(elements: .max) == nil)
        #expect(ElementType.u8.byteCount(elements: .max) == .max)
        #expect(ElementType.q8_0.byteCount(elements: .max / 32 * 32) == nil)
    }
}
