import YuyanNN
import YuyanTensor

/// Guesses with a smaller model, which keeps a cache of its own for each sequence.
///
/// Leviathan et al., "Fast Inference from Transformers via Speculative Decoding", arXiv:2211.17192.
/// Instead of accepting by their ratio of probabilities, both models draw with the same random
/// number (`DraftChooser`) and the guess is kept when they agree: the output is then not only
/// distributed as without a draft, it is the same, bit for bit, at every temperature.
final class DraftModel: Drafter {
    /// What the draft's cache holds of a sequence.
    private struct Track {
        var fed: [Int32] = []
        var blocks: [Int32] = []
    }

    private let model: Decoder
    private let device: Device
    private let cache: KeyValueBlocks
    private let batchTokens: Int
    private var allocator: BlockAllocator
    private var tracks: [Int: Track] = [:]

    init(
        _ model: Decoder, on device: Device, keyValueBytes: Int, type: KeyValueType,
        batchTokens: Int
    ) {
        self.model = model
        self.device = device
        self.batchTokens = batchTokens
        let layout = model.cacheLayout(type: type)
        cache = KeyValueBlocks(layout: layout)
        allocator = BlockAllocator(
            capacity: min(keyValueBytes / layout.blockBytes, Int(Int32.max)))
    }

    func forget(_ sequences: [Int]) {
        for id in sequences {
            guard let track = tracks.removeValue(forKey: id) else { continue }
            for block in track.blocks { allocator.release(block) }
        }
    }

    func drafts(
        for candidates: [DraftCandidate], chooser: (Int) -> DraftChooser?
    ) -> [Int: [Int32]] {
        let wanting = candidates.filter {
            $0.length > 0 && $0.tokens.count + $0.length <= model.shape.contextLength
        }
        var choosers: [Int: DraftChooser] = [:]
        for candidate in wanting { choosers[candidate.sequence] = chooser(candidate.sequence) }
        var drafts: [Int: [Int32]] = [:]
        var ready = catchUp(wanting)
        var logits = lastLogits
        var round = 0
        while !ready.isEmpty {
            var next: [DraftCandidate] = []
            for (row, candidate) in ready.enumerated() {
                let position = candidate.tokens.count + round
                guard let logits,
                    let token = logits.withMutableRow(
                        row,
                        { span in
                            choosers[candidate.sequence]?.choose(&span, position: position)
                        })
                else { continue }
                drafts[candidate.sequence, default: []].append(token)
                if round + 1 < candidate.length { next.append(candidate) }
            }
            round += 1
            ready = next.filter { grow($0.sequence, by: 1) }
            if !ready.isEmpty {
                logits = feed(
                    ready.map {
                        ($0.sequence, drafts[$0.sequence].map { Array($0.suffix(1)) } ?? [])
                    })
            }
        }
        return drafts
    }

    private var lastLogits: Tensor?

    /// Feeds what the tracks lack of the known tokens; returns those that are complete, in the
    /// order of the rows of `lastLogits`.
    private func catchUp(_ candidates: [DraftCandidate]) -> [DraftCandidate] {
        lastLogits = nil
        var budget = batchTokens
        var pieces: [(sequence: Int, tokens: [Int32])] = []
        var complete: [DraftCandidate] = []
        for candidate in candidates where budget > 0 {
            var track = tracks[candidate.sequence] ?? Track()
            let agreed = zip(track.fed, candidate.tokens).prefix { $0 == $1 }.count
            track.fed.removeLast(track.fed.count - min(agreed, candidate.tokens.count - 1))
            tracks[candidate.sequence] = track
            let missing = candidate.tokens[track.fed.count...]
            let piece = Array(missing.prefix(budget))
            guard grow(candidate.sequence, by: piece.count) else { continue }
            budget -= piece.count
            pieces.append((candidate.sequence, piece))
            if piece.count == missing.count { complete.append(candidate) }
        }
        guard !pieces.isEmpty else { return [] }
        let logits = feed(pieces, wanting: Set(complete.map(\.sequence)))
        lastLogits = logits
        return complete
    }

    /// Blocks for more tokens; if there are none left, the sequence goes without drafts for now.
    private func grow(_ sequence: Int, by count: Int) -> Bool {
        guard let track = tracks[sequence] else { return false }
        let size = KeyValueLayout.blockTokens
        let total = (track.fed.count + count + size - 1) / size
        guard let more = allocator.allocate(max(0, total - track.blocks.count)) else {
            forget([sequence])
            return false
        }
        tracks[sequence]?.blocks += more
        return true
    }

    /// Computes tokens of several sequences; logits of each one's last token, of those wanted.
    private func feed(
        _ pieces: [(sequence: Int, tokens: [Int32])], wanting: Set<Int>? = nil
    ) -> Tensor {
        var tokens: [Int32] = []
        var segments: [TokenBatch.Segment] = []
        var rows: [Int] = []
        for piece in pieces {
            guard let track = tracks[piece.sequence] else { continue }
            segments.append(
                TokenBatch.Segment(
                    SequenceSegment(
                        rows: tokens.count..<tokens.count + piece.tokens.count,
                        firstPosition: track.fed.count, blocks: track.blocks)))
            tokens += piece.tokens
            if wanting?.contains(piece.sequence) ?? true { rows.append(tokens.count - 1) }
            tracks[piece.sequence]?.fed += piece.tokens
        }
        let hidden = model.hiddenStates(
            TokenBatch(tokens: tokens, segments: segments), cache: cache, on: device)
        return model.logits(hidden: hidden, rows: rows, on: device)
    }
}
