import TestSupport
import Testing
import YuyanFormats

@testable import YuyanConstraints

@Suite("Grammars of llama.cpp")
struct GBNFParserTests {
    static let arithmetic = #"""
        # sums of products
        root  ::= (expr "=" ws term "\n")+
        expr  ::= term ([-+*/] term)*
        term  ::= ident | num |
                  "(" ws expr ")" ws
        ident ::= [a-z] [a-z0-9_]* ws   # names
        num   ::= [0-9]+ ws
        ws    ::= [ \t\n]*
        """#

    @Test("a grammar accepts its texts and no others")
    func acceptsItsTexts() throws {
        let cases: [(String, [String], [String])] = [
            (
                Self.arithmetic, ["x+1=2\n", "(a*(b -3))= x\n\n", "a=b\nc=d\n"],
                ["", "x+1=2", "(a=b\n", "1+=2\n"]
            ),
            (
                #"root ::= "a"{2,3} [^a-c\]] ."#, ["aax雨", "aaa]".dropLast() + "d."],
                ["ax.", "aab."]
            ),
            (#"root ::= "\x41\u00e9\U0001F600\"\\" "#, ["Aé😀\"\\"], ["A"]),
            (#"root ::= "ab"* | ( "x"? "y" )+"#, ["", "abab", "yxy"], ["aba", "x"]),
            (#"root ::= "[" (root ("," root)*)? "]""#, ["[]", "[[],[[]]]"], ["[", "[]]", "[,]"]),
            (
                #"root ::= a b{0,2} c{2,}"# + "\na ::= \"a\"?\nb ::= a \"b\"\nc ::= \"c\"",
                ["cc", "abbccc"], ["c"]
            ),
        ].map { ($0.0, $0.1.map { String($0) }, $0.2) }
        for (grammar, yes, no) in cases {
            let constraint = try CompiledConstraint(
                .gbnf(grammar), vocabulary: Vocabularies.bytes)
            for text in yes { #expect(accepts(constraint, Array(text.utf8)), "\(text)") }
            for text in no { #expect(!accepts(constraint, Array(text.utf8)), "\(text)") }
        }
    }

    @Test("an ambiguous grammar is read in all ways, and long texts stay quick")
    func ambiguityIsCheap() throws {
        let grammar = """
            root ::= "a" root "x" | "a" root "y" | "a" root | "b"
            """
        let constraint = try CompiledConstraint(.gbnf(grammar), vocabulary: Vocabularies.bytes)
        let text = String(repeating: "a", count: 100) + "b"
        #expect(accepts(constraint, Array(text.utf8)))
        #expect(accepts(constraint, Array((text + String(repeating: "xy", count: 50)).utf8)))
        #expect(!accepts(constraint, Array((text + String(repeating: "xy", count: 51)).utf8)))
    }

    @Test(
        "what is wrong is named with line and column",
        arguments: [
            ("root ::= \"a", 1, 10), ("root ::= x", 1, 10), ("foo ::= \"a\"", 1, 12),
            ("root = \"a\"", 1, 6), ("root ::= (\"a\"\n\"b\"", 1, 10), ("root ::= [a", 1, 10),
            ("root ::= \"a\"\nroot ::= \"b\"", 2, 1), ("root ::= * ", 1, 10),
            ("root ::= \"\\q\"", 1, 11), ("root ::= <think>", 1, 10), ("", 1, 1),
        ])
    func faultsHavePlaces(_ grammar: String, _ line: Int, _ column: Int) {
        do {
            _ = try CompiledConstraint(.gbnf(grammar), vocabulary: Vocabularies.bytes)
            Issue.record("accepted \(grammar)")
        } catch {
            guard case .grammar(let foundLine, let foundColumn, _, _) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(foundLine == line && foundColumn == column, "\(grammar): \(error)")
        }
    }

    @Test("rules that begin with themselves are refused, also behind empty ones")
    func leftRecursionIsRefused() {
        for grammar in [
            #"root ::= root "a" | "b""#, "root ::= e root | \"b\"\ne ::= \"x\"?",
            "root ::= a \"x\"\na ::= b\nb ::= a | \"y\"",
        ] {
            do {
                _ = try CompiledConstraint(.gbnf(grammar), vocabulary: Vocabularies.bytes)
                Issue.record("accepted \(grammar)")
            } catch {
                guard case .leftRecursion = error else {
                    Issue.record("\(error)")
                    continue
                }
            }
        }
        #expect(throws: ConstraintError.unsatisfiable(place: "grammar")) {
            try CompiledConstraint(
                .gbnf("root ::= \"a\" root"), vocabulary: Vocabularies.bytes)
        }
    }
}
