import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("Rewards by programs", .serialized)
struct ProgramRewardTests {
    private let folder = TemporaryFolder()

    /// Answers each line with its id and some score, in the shell's words.
    private static let head = "id() { rest=${1#*'\"id\": '}; echo \"${rest%%,*}\"; }\n"
    private static let answer = "echo \"{\\\"id\\\": $(id \"$line\"), \\\"score\\\": 2}\""

    private func program(
        _ script: String, seconds: Double = 10, memory: Int = 1 << 30, restarts: Int = 3,
        lineBytes: Int = 1 << 16
    ) throws -> ProgramReward {
        let path = folder.file("reward.sh", Array(("#!/bin/sh\n" + Self.head + script + "\n").utf8))
        try #require(chmod(path, 0o755) == 0)
        var limits = ProgramReward.Limits()
        limits.time = .milliseconds(Int64(seconds * 1000))
        limits.memory = memory
        limits.restarts = restarts
        limits.lineBytes = lineBytes
        return try ProgramReward(name: "program", command: [path], limits: limits)
    }

    private func rows(_ count: Int) throws -> [ScoredCompletion] {
        try (0..<count).map { try .sample("text \($0)\n\"雨\"", "{\"answer\": \($0), \"id\": 9}") }
    }

    /// The faults of a batch that must have some.
    private func faults(_ reward: ProgramReward, _ rows: [ScoredCompletion]) -> PartialRewards {
        do {
            let scores = try reward.scores(rows)
            Issue.record("no fault, but \(scores)")
        } catch let partial as PartialRewards {
            return partial
        } catch {
            Issue.record("another error: \(error)")
        }
        return PartialRewards(scores: [], faults: [:])
    }

    @Test("each line is answered, over batches of one process, and nothing is left behind")
    func answers() throws {
        let trace = folder.path + "/trace"
        let reward = try program(
            "echo $$ >> \(trace)\nwhile read -r line; do printf '%s\\n' \"$line\" >> \(trace); \(Self.answer); done"
        )
        #expect(try reward.scores(rows(3)) == [2, 2, 2])
        #expect(try reward.scores(rows(2)) == [2, 2])
        #expect(try reward.scores([]) == [])
        let file = try MappedFile(path: trace)
        let lines = file.withUnsafeBytes(in: 0..<file.count) { String(decoding: $0, as: UTF8.self) }
            .split(separator: "\n")
        #expect(lines.count == 6, "one process and five lines")
        let first = try JSONDocument(bytes: Array(lines[1].utf8), name: "line").root
        #expect(first["id"]?.int == 0 && first["prompt"]?.string == "p")
        #expect(first["completion"]?.string == "text 0\n\"雨\"" && first["answer"]?.int == 0)
        #expect(first["ended"]?.bool == true && first["tokens"]?.int == 0)
    }

    @Test("answers may come in any order; null and errors are one row's own")
    func kinds() throws {
        let reward = try program(
            "read -r a; read -r b; read -r c; read -r d; read -r e\n"
                + "echo '{\"id\": 2, \"score\": -1.5}'; echo '{\"id\": 0, \"score\": null}'\n"
                + "echo '{\"id\": 1, \"error\": \"no idea\"}'; echo '{\"id\": 3, \"score\": NaN}'\n"
                + "echo '{\"id\": 4, \"score\": 1e999}'; cat > /dev/null")
        let partial = faults(reward, try rows(5))
        #expect(partial.scores[2] == -1.5 && partial.scores[0] == nil)
        #expect(partial.faults.count == 2 && partial.faults[1]?.contains("no idea") == true)
        #expect(partial.faults[3]?.contains("NaN") == true && partial.scores[4] == .infinity)
        let again = try program(
            "read -r a; read -r b; echo '{\"id\": 1, \"score\": -Infinity}'; echo '{\"id\": 0, \"score\": 1}'; cat"
        )
        #expect {
            try RewardSet([again]).score(try rows(2))
        } throws: { "\($0)".contains("completion 1") && "\($0)".contains("-Infinity") }
    }

    @Test("more input and output than pipes hold passes without a deadlock")
    func large() throws {
        let reward = try program("while read -r line; do \(Self.answer); done", seconds: 60)
        let long = String(repeating: "x", count: 100_000)
        let many = try (0..<40).map { _ in try ScoredCompletion.sample(long) }
        #expect(try reward.scores(many) == many.map { _ in 2 })
        let eager = try program(
            "i=0; while [ $i -lt 3000 ]; do echo \"{\\\"id\\\": $i, \\\"score\\\": 1}\"; i=$((i+1)); done; cat > /dev/null",
            seconds: 60)
        #expect(try eager.scores(rows(3000)).allSatisfy { $0 == 1 })
    }

    @Test("a program that hangs is killed with its children, in time; answered rows keep scores")
    func hangs() throws {
        let trace = folder.path + "/children"
        let reward = try program(
            "read -r line; \(Self.answer); sleep 1000 & echo $! > \(trace); (sleep 1000 & echo $! >> \(trace); wait) & wait",
            seconds: 1.5)
        let started = ContinuousClock.now
        let partial = faults(reward, try rows(3))
        #expect(ContinuousClock.now - started < .seconds(20))
        #expect(partial.scores[0] == 2 && partial.faults.count == 2)
        #expect(partial.faults[1]?.contains("1 of 3 rows") == true)
        let file = try MappedFile(path: trace)
        let children = file.withUnsafeBytes(in: 0..<file.count) {
            String(decoding: $0, as: UTF8.self)
        }.split(separator: "\n").compactMap { pid_t($0) }
        #expect(children.count == 2)
        for child in children {
            // Killed; whoever inherits it may not have waited for it yet.
            var isGone = false
            for _ in 0..<200 where !isGone {
                isGone = kill(child, 0) != 0 || Self.isZombie(child)
                usleep(10_000)
            }
            #expect(isGone, "\(child) still runs")
        }
    }

    private static func isZombie(_ child: pid_t) -> Bool {
        guard let file = fopen("/proc/\(child)/stat", "r") else { return true }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 512)
        guard fgets(&line, 512, file) != nil else { return true }
        let text = String(
            decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return text.contains(") Z ")
    }

    @Test("a crash costs one row; the rest is asked again, a bounded number of times")
    func crashes() throws {
        let trace = folder.path + "/starts"
        let reward = try program(
            "echo x >> \(trace); read -r line; \(Self.answer); read -r line; echo oh dear >&2; kill -SEGV $$",
            restarts: 2)
        let partial = faults(reward, try rows(9))
        // Three lives, each of one answer and one crash; nobody is left for the other rows.
        #expect(partial.scores == [2, nil, 2, nil, 2, nil, nil, nil, nil])
        #expect(partial.faults.count == 6)
        #expect(partial.faults[1]?.contains("signal 11") == true)
        #expect(partial.faults[1]?.contains("oh dear") == true)
        #expect(partial.faults[8]?.contains("restarted 2 times") == true)
        #expect(faults(reward, try rows(1)).faults[0]?.contains("signal 11") == true)
        #expect(try MappedFile(path: trace).count == 6)
    }

    @Test(
        "programs that end, babble or close their output are named, in time",
        arguments: [
            ("exit 3", "ended with code 3"), ("read -r line; exit 0", "ended with code 0"),
            ("echo hello; cat > /dev/null", "wrote 'hello'"),
            ("echo '{\"id\": 99, \"score\": 1}'; cat", "was not asked"),
            ("echo '{\"id\": 0, \"score\": \"high\"}'; cat", "without a number"),
            ("echo '{\"score\": 1}'; cat", "expected"),
            ("echo '{\"id\": 0}'; cat", "without a number"),
            ("echo '{\"id\": 1e99, \"score\": 1}'; cat", "expected"),
            (
                "echo '{\"id\": 0, \"score\": 1}'; echo '{\"id\": 0, \"score\": 1}'; cat",
                "has its answer"
            ),
            ("head -c 3000000 /dev/zero; cat", "more than 65536 bytes"), ("yes", "wrote 'y'"),
            ("cat /dev/urandom", "the program"),
            ("exec >&-; sleep 1000", "closed its standard output"),
            ("exec <&-; sleep 1000", "0 of 2 rows"),
            ("exec 2>&-; sleep 1000", "0 of 2 rows"), ("yes >&2", "0 of 2 rows"),
            ("exec sleep 1000 </dev/null", "0 of 2 rows"),
            ("(trap '' TERM HUP INT; sleep 1000) & exit 4", "ended with code 4"),
            ("printf '{\"id\": 0, \"sc'; exit 1", "ended with code 1"),
            ("printf '\\000\\377\\n'; cat", "expected"), ("kill -STOP $$", "0 of 2 rows"),
        ])
    func misbehaves(script: String, reason: String) throws {
        let reward = try program(script, seconds: 2, restarts: 1)
        let started = ContinuousClock.now
        let partial = faults(reward, try rows(2))
        let text = partial.faults.sorted { $0.key < $1.key }.map(\.value).joined(separator: "\n")
        #expect(text.contains(reason), "\(text)")
        #expect(!partial.faults.isEmpty)
        #expect(ContinuousClock.now - started < .seconds(30))
    }

    @Test("memory is limited, for children too")
    func memory() throws {
        // The shell doubles a text until there is no room for it.
        let reward = try program(
            "ulimit -v; a=xxxxxxxxxxxxxxxx; (while :; do a=$a$a; done); echo \"child $?\" >&2; exit 9",
            seconds: 60, memory: 64 << 20, restarts: 0)
        let text = faults(reward, try rows(1)).faults[0] ?? ""
        #expect(text.contains("wrote '65536'"), "\(text)")
        let silent = try program(
            "a=xxxxxxxxxxxxxxxx; while :; do a=$a$a; done", seconds: 60, memory: 64 << 20,
            restarts: 0)
        let started = ContinuousClock.now
        #expect(faults(silent, try rows(1)).faults[0]?.contains("the program") == true)
        #expect(ContinuousClock.now - started < .seconds(50))
    }

    @Test("the program sees few variables, its own folder, and the default signals")
    func surroundings() throws {
        setenv("YUYAN_TEST_SECRET", "hidden", 1)
        defer { unsetenv("YUYAN_TEST_SECRET") }
        let trace = folder.path + "/env"
        let reward = try program(
            "env | sed 's/=.*//' | sort > \(trace); pwd > \(trace).pwd; grep -E '^Sig(Blk|Ign)' /proc/self/status > \(trace).sig\n"
                + "ls /proc/self/fd | wc -l > \(trace).fd; touch left; while read -r line; do \(Self.answer); done"
        )
        #expect(try reward.scores(rows(1)) == [2])
        func text(_ path: String) throws -> String {
            let file = try MappedFile(path: path)
            return file.withUnsafeBytes(in: 0..<file.count) { String(decoding: $0, as: UTF8.self) }
        }
        let names = Set(try text(trace).split(separator: "\n").map(String.init))
        #expect(
            names.isSubset(of: [
                "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_",
            ]),
            "\(names)")
        let place = try text(trace + ".pwd")
        #expect(place.contains("yuyan-reward-"))
        #if os(Linux)
            // ls has its three streams and the folder it lists.
            #expect(stripped(try text(trace + ".fd")) == "4")
            for line in try text(trace + ".sig").split(separator: "\n") {
                // The C library keeps two real-time signals, above 31, to itself.
                let mask = try #require(UInt64(line.split(separator: "\t")[1], radix: 16))
                #expect(mask & 0x7FFF_FFFF == 0, "\(line)")
            }
        #endif
    }

    @Test("its folder goes with it")
    func cleansUp() throws {
        let trace = folder.path + "/pwd"
        do {
            let reward = try program(
                "pwd > \(trace); mkdir -p a/b; echo x > a/b/c; ln -s /etc link; while read -r line; do \(Self.answer); done"
            )
            #expect(try reward.scores(rows(1)) == [2])
        }
        let file = try MappedFile(path: trace)
        let place = file.withUnsafeBytes(in: 0..<file.count) {
            stripped(String(decoding: $0, as: UTF8.self))
        }
        #expect(access(place, F_OK) != 0 && access("/etc/passwd", F_OK) == 0)
    }
}
