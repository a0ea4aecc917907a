/// Who was served how much, so that the client served least goes next.
///
/// The virtual token counters of Sheng et al., "Fairness in Serving Large Language Models",
/// arXiv:2401.00588: a prompt token costs 1, a generated one 2; a client that comes back starts no
/// lower than those who are waiting now, so that idling saves nothing up. What it had of late counts
/// when it comes back, less and less as others are served, so that leaving pays nothing off either.
struct FairShare: Sendable {
    private var served: [String: Double] = [:]
    private var active: [String: Int] = [:]
    /// What the others had when a client came.
    private var floors: [String: Double] = [:]
    /// What clients that are gone had of late, and when they went, in tokens served to all.
    private var absent: [String: (debt: Double, left: Double)] = [:]
    private var clock = 0.0

    static let promptCost = 1.0
    static let generatedCost = 2.0
    /// The most that is held against a client that comes back.
    static let mostDebt = 10_000.0
    /// Tokens served to all after which half of it is forgiven.
    static let halfLife = 5000.0
    /// Clients remembered that are gone.
    static let mostAbsent = 1024

    /// A client's sequence came.
    mutating func arrive(_ client: String) {
        if active[client] == nil {
            let floor = active.keys.compactMap { served[$0] }.min() ?? 0
            let past = absent.removeValue(forKey: client)
            floors[client] = floor
            served[client] = floor + (past.map(debt) ?? 0)
        }
        active[client, default: 0] += 1
    }

    /// A client's sequence went.
    mutating func leave(_ client: String) {
        guard let count = active[client] else { return }
        active[client] = count > 1 ? count - 1 : nil
        guard count == 1 else { return }
        let all = served.removeValue(forKey: client) ?? 0
        let had = all - (floors.removeValue(forKey: client) ?? 0)
        absent[client] = (min(had, Self.mostDebt), clock)
        guard absent.count > Self.mostAbsent else { return }
        // Those who owe least are forgotten, a good part at once.
        let order = absent.sorted { debt($0.value) > debt($1.value) }
        absent = Dictionary(
            uniqueKeysWithValues: order.prefix(Self.mostAbsent / 2).map { ($0.key, $0.value) })
    }

    private func debt(_ past: (debt: Double, left: Double)) -> Double {
        let halvings = min(Int((clock - past.left) / Self.halfLife), 60)
        return past.debt / Double(1 << halvings)
    }

    mutating func charge(_ client: String, _ cost: Double) {
        clock += cost
        served[client, default: 0] += cost
    }

    /// What the client was served so far.
    func served(_ client: String) -> Double { served[client] ?? 0 }
}
