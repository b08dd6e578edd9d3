//! The allocator, and how soon it gives memory back to the system.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h, which the binding does not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
/// Milliseconds; a tenth of the time after which freed pages are given back.
const SOON: std::ffi::c_long = 10;

/// Gives back what a burst of work leaves free after 100 ms, instead of the
/// 10 s after which a node at rest has nothing left to do that would.
pub fn give_back_soon() {
    // SAFETY: a plain setting, valid at any time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, SOON) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: reads a plain setting.
        let default = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        // The pinned version's default, by which the number is known to be right.
        assert_eq!(default, 1000);
        give_back_soon();
        // SAFETY: as above.
        assert_eq!(unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }, SOON);
    }
}
