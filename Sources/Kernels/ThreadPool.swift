import CKernels
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Threads that wait for loops to share.
///
/// One pool serves the process.
///
/// Indices are handed out one by one, so uneven tasks balance; nothing a caller computes may depend on which thread
/// took an index. Waiting threads spin for a moment, since an operating-system wake-up costs fifty microseconds, then
/// sleep, so that an idle process uses no CPU; while they spin they fetch what callers say will be read next. A call that
/// comes while the pool is busy runs on its own thread.
package final class ThreadPool: @unchecked Sendable {
    /// The pool of the process.
    package static let shared = ThreadPool()

    private struct Job {
        let count: Int
        let body: @Sendable (Int, Int) -> Void
    }

    /// Rounds of the pause instruction before a waiting thread sleeps: half a millisecond or so, longer than a model's
    /// step keeps to one thread between two loops.
    private static let spinRounds = 24_000
    /// Rounds that take as long as fetching a little.
    private static let roundsOfFetching = 4
    /// Rounds after which a caller lets others have its processor: a helper may have lost its own.
    private static let roundsBeforeYielding = 2_000
    private static let helperBits = 10
    private static let helperMask = 1 << helperBits - 1

    private let busy = Atomic<Bool>(false)
    /// The number of the newest job and, in the low bits, how many helpers it counts on: read as one word, so that a
    /// helper that is not counted never touches a job.
    private let announcement = Atomic<Int>(0)
    private let nextIndex = Atomic<Int>(0)
    private let unfinished = Atomic<Int>(0)
    private let sleepers = Atomic<Int>(0)
    /// What the next loop tells its helpers to fetch once they wait.
    private let ahead = Mutex(ReadAhead())
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    /// These four are written only by the caller that holds `busy`, before `announcement` publishes them.
    private var job: Job?
    private var readAhead = ReadAhead()
    private var jobs = 0
    private var helperCount = 0

    private init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wake, nil)
    }

    /// Runs `body(index, worker)` for every index in `0..<count` on up to `threads` threads, and returns when all are
    /// done.
    ///
    /// `worker` is below `threads`, and no two calls with the same worker overlap.
    package func forEach(_ count: Int, threads: Int, _ body: @Sendable (_ index: Int, _ worker: Int) -> Void) {
        let wanted = min(threads, count, Self.helperMask)
        guard wanted > 1, busy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else {
            for index in 0..<max(0, count) { body(index, 0) }
            return
        }
        defer { busy.store(false, ordering: .releasing) }
        withoutActuallyEscaping(body) { body in
            let helpers = startHelpers(wanted - 1)
            job = Job(count: count, body: body)
            readAhead = ahead.withLock { $0 }
            nextIndex.store(0, ordering: .relaxed)
            unfinished.store(helpers, ordering: .relaxed)
            jobs += 1
            announcement.store(jobs << Self.helperBits | helpers, ordering: .sequentiallyConsistent)
            if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
                pthread_mutex_lock(mutex)
                pthread_cond_broadcast(wake)
                pthread_mutex_unlock(mutex)
            }
            work(count, worker: 0, body)
            var rounds = 0
            while unfinished.load(ordering: .acquiring) > 0 {
                rounds += 1
                if rounds % Self.roundsBeforeYielding == 0 { sched_yield() } else { zoo_pause() }
            }
            job = nil
        }
    }

    /// Says what waiting threads are to fetch into their caches.
    ///
    /// Time alone depends on it.
    func fetchWhileWaiting(_ plan: ReadAhead) { ahead.withLock { $0 = plan } }

    private func work(_ count: Int, worker: Int, _ body: @Sendable (Int, Int) -> Void) {
        while true {
            let index = nextIndex.add(1, ordering: .relaxed).oldValue
            if index >= count { return }
            body(index, worker)
        }
    }

    /// A call of its own, so that the helper's hold on the caller's closure ends before it reports that it is done.
    @inline(never)
    private func help(_ worker: Int, _ cursor: inout ReadAheadCursor) {
        cursor.follow(readAhead)
        if let job { work(job.count, worker: worker, job.body) }
    }

    /// Makes sure that many helpers exist; returns how many do.
    private func startHelpers(_ wanted: Int) -> Int {
        while helperCount < wanted {
            let worker = helperCount + 1
            let start = Unmanaged.passRetained(
                Helper(pool: self, worker: worker, seen: announcement.load(ordering: .relaxed)))
            #if canImport(Darwin)
                var thread: pthread_t?
                let status = pthread_create(&thread, nil, runHelper, start.toOpaque())
                if let thread { pthread_detach(thread) }
            #else
                var thread: pthread_t = 0
                let status = pthread_create(&thread, nil, runHelper, start.toOpaque())
                if status == 0 { pthread_detach(thread) }
            #endif
            guard status == 0 else {
                // Without a further thread the work is still done, by fewer.
                start.release()
                return helperCount
            }
            helperCount += 1
        }
        return wanted
    }

    fileprivate func serve(worker: Int, seen: Int) {
        var seen = seen
        var cursor = ReadAheadCursor(worker: worker)
        while true {
            seen = waitForJob(after: seen, &cursor)
            // The caller waits for the helpers it counted, so the job stays in place for them alone.
            guard worker <= seen & Self.helperMask else { continue }
            help(worker, &cursor)
            unfinished.subtract(1, ordering: .releasing)
        }
    }

    private func waitForJob(after seen: Int, _ cursor: inout ReadAheadCursor) -> Int {
        var rounds = 0
        while rounds < Self.spinRounds {
            let now = announcement.load(ordering: .acquiring)
            if now != seen { return now }
            if cursor.fetchSome() {
                rounds += Self.roundsOfFetching
            } else {
                zoo_pause()
                rounds += 1
            }
        }
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        sleepers.add(1, ordering: .sequentiallyConsistent)
        defer { sleepers.subtract(1, ordering: .sequentiallyConsistent) }
        while announcement.load(ordering: .sequentiallyConsistent) == seen { pthread_cond_wait(wake, mutex) }
        return announcement.load(ordering: .acquiring)
    }
}

/// What a new thread needs to know.
private final class Helper: Sendable {
    let pool: ThreadPool
    let worker: Int
    let seen: Int

    init(pool: ThreadPool, worker: Int, seen: Int) {
        self.pool = pool
        self.worker = worker
        self.seen = seen
    }
}

#if canImport(Darwin)
    private func runHelper(_ argument: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
        let helper = Unmanaged<Helper>.fromOpaque(argument).takeRetainedValue()
        helper.pool.serve(worker: helper.worker, seen: helper.seen)
        return nil
    }
#else
    private func runHelper(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        guard let argument else { return nil }
        let helper = Unmanaged<Helper>.fromOpaque(argument).takeRetainedValue()
        helper.pool.serve(worker: helper.worker, seen: helper.seen)
        return nil
    }
#endif
