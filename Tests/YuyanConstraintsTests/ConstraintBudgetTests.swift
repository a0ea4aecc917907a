import Testing

@testable import YuyanConstraints

@Suite("Work that a constraint may cause")
struct ConstraintBudgetTests {
    private static let ambiguous = [
        "(.{0,200}){0,200}", "(.{0,300}){0,300}", "(.{1,300}){0,300}", "(.{0,90}b?){0,500}",
        "(.{0,90}.{0,90}){0,500}", "((.|b?)(.|d?)){0,2000}", "((a|.){0,40}(.|b){0,40}){0,90}",
        "(([a-z]{0,60} ?){0,60}){0,60}", "(.?.?.?.?.?.?.?.?.?.?){0,900}x",
    ]

    @Test(
        "is bounded for repetitions in repetitions: they are refused, or each token is soon found",
        arguments: ambiguous)
    func nestedRepetitions(_ pattern: String) throws {
        let vocabulary = Vocabularies.smolLM2 ?? Vocabularies.pieces
        let clock = ContinuousClock()
        var made: CompiledConstraint?
        let compile = clock.measure {
            made = try? CompiledConstraint(.regex(pattern), vocabulary: vocabulary)
        }
        #expect(compile < .seconds(8))
        guard let constraint = made else { return }
        let letter = try #require(
            vocabulary.texts.indices.first { vocabulary.texts[$0] == Array(" the".utf8) }
                ?? vocabulary.texts.indices.first { vocabulary.texts[$0] == Array("a".utf8) })
        var state = constraint.start()
        var budget = ConstraintBudget()
        for step in 0..<60 {
            var isOver = false
            let time = try clock.measure {
                budget.renew()
                do throws(ConstraintError) {
                    let mask = try state.allowedTokens(tokensLeft: 1000, spending: &budget)
                    let next = mask.contains(Int32(letter))
                    if next { try state.accept(Int32(letter), spending: &budget) }
                    isOver = !next
                } catch {
                    guard case .tooLarge = error else { throw error }
                    isOver = true
                }
            }
            #expect(time < .seconds(2), "step \(step)")
            if isOver { break }
        }
    }

    @Test("that is used up ends nothing but the question, which can be asked again")
    func exhausted() throws {
        let constraint = try CompiledConstraint(
            .regex("(a|ab|abc)*\"?.{0,3}"), vocabulary: Vocabularies.pieces)
        let fresh = try CompiledConstraint(
            .regex("(a|ab|abc)*\"?.{0,3}"), vocabulary: Vocabularies.pieces)
        var state = constraint.start()
        var failures = 0
        for _ in 0..<10_000 {
            var budget = ConstraintBudget(left: 200)
            do throws(ConstraintError) {
                let mask = try state.allowedTokens(tokensLeft: 9, spending: &budget)
                var other = fresh.start()
                #expect(mask.hashValue == other.allowedTokens(tokensLeft: 9).hashValue)
                break
            } catch {
                failures += 1
                budget = ConstraintBudget(left: 200 + failures * 50)
                _ = try? state.allowedTokens(tokensLeft: 9, spending: &budget)
            }
        }
        #expect(failures > 0)
        var budget = ConstraintBudget()
        budget.renew()
        #expect(budget.left == ConstraintBudget.most)
        _ = try state.allowedTokens(tokensLeft: 9, spending: &budget)
    }

    @Test("does not change what repetitions of repetitions describe")
    func sameLengths() throws {
        for (low, high) in [(0, 3), (1, 3), (2, 3), (3, 3), (0, 1), (2, 5)] {
            for (least, most) in [(0, 2), (0, 12), (1, 12), (3, 4), (9, 9)] {
                let constraint = try CompiledConstraint(
                    .regex("(a{\(low),\(high)}){\(least),\(most)}"),
                    vocabulary: Vocabularies.bytes)
                var expected: Set<Int> = []
                for groups in least...most { expected.formUnion(groups * low...groups * high) }
                #expect(lengths(constraint) == expected, "a \(low)-\(high), \(least)-\(most)")
            }
        }
    }

    @Test("does not change what repetitions of bodies that may be empty describe")
    func sameTexts() throws {
        // Each group is at most two a and then at most one b.
        for (least, most) in [(0, 10), (10, 10), (2, 9)] {
            let constraint = try CompiledConstraint(
                .regex("(a{0,2}b?){\(least),\(most)}"), vocabulary: Vocabularies.bytes)
            for length in 0...11 {
                for bits in 0..<1 << length {
                    let text = (0..<length).map { UInt8(97 + (bits >> $0 & 1)) }
                    #expect(
                        accepts(constraint, text) == (groups(text) <= most),
                        "\(String(decoding: text, as: UTF8.self)) \(least) \(most)")
                }
            }
        }
    }

    /// The fewest groups of `a{0,2}b?` that a text is made of.
    private func groups(_ text: [UInt8]) -> Int {
        var count = 0
        var rest = text[...]
        while !rest.isEmpty {
            var letters = 0
            while letters < 2, rest.first == 97 {
                rest = rest.dropFirst()
                letters += 1
            }
            if rest.first == 98 { rest = rest.dropFirst() }
            count += 1
        }
        return count
    }

    private func accepts(_ constraint: CompiledConstraint, _ text: [UInt8]) -> Bool {
        var state = constraint.start()
        for byte in text {
            guard state.allows(Int32(byte)) else { return false }
            state.accept(Int32(byte))
        }
        return state.allows(256)
    }

    private func lengths(_ constraint: CompiledConstraint) -> Set<Int> {
        var found: Set<Int> = []
        var state = constraint.start()
        for length in 0...70 {
            if state.allows(256) { found.insert(length) }
            guard state.allows(97) else { break }
            state.accept(97)
        }
        return found
    }
}
