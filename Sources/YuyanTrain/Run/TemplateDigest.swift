import YuyanFormats
import YuyanText

/// The chat template that turned a run's rows into tokens, as checkpoints remember it.
///
/// With another template the same rows are other tokens, which neither the recipe nor the bytes of the
/// data would show.
package struct TemplateDigest: Sendable, Hashable, CustomStringConvertible {
    /// Where it came from: the model, or the file that the recipe names.
    package let origin: String
    /// Of its text; empty if there is none.
    package let digest: String

    package init(origin: String, digest: String) {
        self.origin = origin
        self.digest = digest
    }

    /// - Parameter template: What renders conversations; stage pt has none.
    init(_ recipe: Recipe, template: ChatTemplate?) {
        guard recipe.method.stage != .pt, let template else {
            self.init(origin: "no chat template", digest: "")
            return
        }
        var hash = StableHash()
        for byte in template.source.utf8 { hash.add(byte) }
        let file = recipe.data.template.flatMap { PreparedModel.isTemplateFile($0) ? $0 : nil }
        self.init(
            origin: file.map { "'\($0)'" } ?? "the model's own",
            digest: String(hash.value, radix: 16))
    }

    package var description: String {
        digest.isEmpty ? origin : "\(origin), of digest \(digest)"
    }

    var json: JSONOutput { ["origin": .string(origin), "digest": .string(digest)] }

    /// Reads the entry of a file; nil if the file is older than the entry.
    ///
    /// - Parameter owner: The object that may have it.
    init?(in owner: JSONCursor) throws {
        guard owner["template"] != nil else { return nil }
        let json = try owner.object("template")
        self.init(origin: try json.string("origin"), digest: try json.string("digest"))
    }

    /// Refuses to go on with tokens of another template.
    ///
    /// - Parameters:
    ///   - saved: Of what is gone on from; nil for one of an older Yuyan, which is trusted.
    ///   - place: The checkpoint or folder, for the message.
    /// - Throws: `RunError.changedTemplate`.
    func check(_ saved: TemplateDigest?, of place: String) throws(RunError) {
        guard let saved, saved.digest != digest else { return }
        throw .changedTemplate(checkpoint: place, found: "\(self)", expected: "\(saved)")
    }
}
