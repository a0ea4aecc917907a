import YuyanConstraints
import YuyanFormats

/// The form of a judge's answer: `{"reason": "…", "score": 7}`, or the score alone.
struct JudgeAnswer: Sendable, Hashable {
    let scale: GradeScale
    /// Most characters of the reason; 0 for none.
    let reasonLength: Int

    /// The schema that the engine holds the model to.
    var schema: JSONOutput {
        var properties: [(key: String, value: JSONOutput)] = []
        if reasonLength > 0 {
            properties.append(
                ("reason", ["type": "string", "maxLength": .integer(reasonLength)]))
        }
        properties.append(
            (
                "score",
                [
                    "type": "integer", "minimum": .integer(scale.lowest),
                    "maximum": .integer(scale.highest),
                ]
            ))
        return [
            "type": "object", "properties": .object(properties),
            "required": .array(properties.map { .string($0.key) }),
            "additionalProperties": false,
        ]
    }

    /// The constraint of an answer.
    func source() throws(FormatError) -> ConstraintSource {
        let text = schema.description
        return .jsonSchema(
            try JSONDocument(bytes: Array(text.utf8), name: "schema of the judge").root)
    }

    /// What stands before the grade where nothing was written yet.
    static let bareHead = "{\"score\": "

    /// Every answer that may follow a beginning.
    func endings(of head: String) -> [(grade: Int, text: String)] {
        scale.grades.map { ($0, head + "\($0)}") }
    }

    /// Cuts an answer before its grade.
    ///
    /// - Throws: `RewardFault` if it is no such answer.
    func parsed(_ text: String) throws -> (head: String, grade: Int) {
        func fault() -> RewardFault {
            RewardFault(
                "the judge wrote '\(String(text.prefix(100)))', expected JSON with a score from "
                    + "\(scale.lowest) to \(scale.highest)")
        }
        guard let document = try? JSONDocument(bytes: Array(text.utf8), name: "judge"),
            let grade = document.root["score"]?.int, scale.grades.contains(grade),
            reasonLength == 0 || document.root["reason"]?.string != nil
        else { throw fault() }
        // The score is the last property, and so the last number.
        let digits = Set("-0123456789".utf8)
        let bytes = Array(text.utf8)
        guard let end = bytes.lastIndex(where: digits.contains),
            let before = bytes[..<end].lastIndex(where: { !digits.contains($0) })
        else { throw fault() }
        return (String(decoding: bytes[...before], as: UTF8.self), grade)
    }
}
