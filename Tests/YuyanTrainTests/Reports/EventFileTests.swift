import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

@Suite("TensorBoard events")
struct EventFileTests {
    @Test("every byte is what tensorboard's own writer writes")
    func agreesWithTensorBoard() throws {
        let file = try MappedFile(path: Goldens.path("formats/events.tfevents"))
        let golden = file.withBytes { all in all.withUnsafeBytes { Array($0) } }
        let events = [
            EventFile.version(time: 1_700_000_000.25),
            EventFile.event(
                [("train/loss", 2.5), ("train/learning_rate", 2e-4)], step: 1,
                time: 1_700_000_001.5),
            EventFile.event([("train/loss", 1.25)], step: 300, time: 1_700_000_002.5),
            EventFile.restart(step: 201, time: 1_700_000_003),
            EventFile.event(
                [("eval/loss", .nan), ("train/grad_norm", -0.0)], step: 1 << 40,
                time: 1_700_000_004),
        ]
        #expect(events.flatMap(EventFile.record) == golden)
    }

    @Test("the checksum is Castagnoli's")
    func checksum() {
        // RFC 3720, B.4.
        #expect(EventFile.crc32c([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(EventFile.crc32c(Array("123456789".utf8)) == 0xE306_9283)
    }

    @Test("a file is named as TensorBoard looks for it, and two never share one")
    func names() throws {
        let folder = TemporaryFolder()
        for _ in 0..<2 {
            let file = try EventFile(
                folder: folder.path, host: "host", process: 7, after: 0, time: 100)
            try file.append([("a", 1)], step: 1, time: 101)
        }
        #expect(
            folder.names == [
                "events.out.tfevents.100.host.7.0", "events.out.tfevents.100.host.7.1",
            ])
        let bytes = try MappedFile(path: folder.path + "/" + folder.names[0]).count
        #expect(
            bytes
                == EventFile.record(EventFile.version(time: 100)).count
                + EventFile.record(EventFile.event([("a", 1)], step: 1, time: 101)).count)
    }
}
