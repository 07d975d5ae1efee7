/// One move of a page's keys and values that must be carried out before the next step, in the order in which it was
/// returned: a later move may reuse the page that an earlier one has read.
package enum PageTransfer: Sendable, Hashable {
    /// The contents of one page go to another page.
    case copy(source: Int, target: Int)
    /// The contents of a page go to a page of the swap pool.
    case swapOut(page: Int, swapPage: Int)
    /// The contents of a page of the swap pool go to a page.
    case swapIn(swapPage: Int, page: Int)
}
