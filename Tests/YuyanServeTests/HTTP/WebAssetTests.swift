import TestSupport
import Testing
import YuyanFormats

@testable import YuyanServe

@Suite("The page in the binary")
struct WebAssetTests {
    private static let folder: String = {
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4)
        return parts.joined(separator: "/") + "/Sources/YuyanServe/Web"
    }()
    private static let suffixes = [".html", ".js", ".css", ".svg", ".webmanifest"]

    @Test("is what lies in its folder; Tools/embed_web.py brings it up to date")
    func sources() throws {
        let names = itemNames(in: Self.folder).filter { name in
            Self.suffixes.contains { name.hasSuffix($0) }
        }
        #expect(WebAssets.names == names)
        #expect(names.contains("index.html"))
        for asset in WebAssets.all {
            let file = try MappedFile(path: Self.folder + "/" + asset.name)
            let bytes = file.withUnsafeBytes(in: 0..<file.count) { Array($0) }
            #expect(Array(asset.text.utf8) == bytes, "\(asset.name)")
        }
    }

    @Test("has a tag for each content, so that browsers ask again only when it changed")
    func tags() {
        #expect(Set(WebAssets.all.map(\.entityTag)).count == WebAssets.all.count)
        #expect(
            WebAssets.all.allSatisfy { $0.entityTag.hasPrefix("\"") && $0.entityTag.count == 18 })
    }
}
