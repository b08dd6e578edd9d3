//! The allocator, and how soon it gives memory back to the system.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc, mi_zalloc_aligned,
};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// mimalloc, asked for an alignment only where its blocks do not have it anyway.
/// The crate of that name always asks, which costs each request whose size is no
/// power of two the room for an alignment more, and often a slower way.
struct MiMalloc;

/// `MI_MAX_ALIGN_SIZE` of mimalloc/types.h: every block that is as large is so
/// aligned, and smaller ones as their size.
const NATURAL: usize = 16;

/// Whether any block of this size is aligned so.
fn is_natural(size: usize, align: usize) -> bool {
    align <= NATURAL && align <= size
}

// SAFETY: mimalloc gives blocks of at least the size that is asked for, and
// aligned so: by its own word for `_aligned`, and as `is_natural` says for the rest.
// Blocks of both kinds are freed and resized alike.
unsafe impl GlobalAlloc for MiMalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: the size is not 0, as the trait demands of the caller.
        unsafe {
            if is_natural(size, align) { mi_malloc(size) } else { mi_malloc_aligned(size, align) }.cast()
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: as in `alloc`.
        unsafe {
            if is_natural(size, align) { mi_zalloc(size) } else { mi_zalloc_aligned(size, align) }.cast()
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the block is of this allocator, as the trait demands.
        unsafe { mi_free(block.cast()) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let align = layout.align();
        // SAFETY: as in `alloc` and `dealloc`.
        unsafe {
            if is_natural(size, align) {
                mi_realloc(block.cast(), size)
            } else {
                mi_realloc_aligned(block.cast(), size, align)
            }
            .cast()
        }
    }
}

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
    fn blocks_are_aligned_as_asked() {
        for align in [1, 2, 4, 8, 16, 32, 64, 128, 4096] {
            for size in (1..200).chain([1000, 1024, 1500, 5000, 40_000, 300_000]) {
                let layout = Layout::from_size_align(size, align).expect("a layout");
                // SAFETY: the layouts are those that the blocks were asked for with.
                unsafe {
                    let blocks: Vec<*mut u8> = (0..20).map(|_| ALLOCATOR.alloc(layout)).collect();
                    for block in blocks {
                        assert!(!block.is_null() && block.addr() % align == 0, "{size} at {align}");
                        block.write_bytes(7, size);
                        let larger = ALLOCATOR.realloc(block, layout, size * 2 + 1);
                        assert!(larger.addr() % align == 0, "{size} at {align}, resized");
                        assert!((0..size).all(|at| *larger.add(at) == 7), "{size} at {align}, copied");
                        let layout = Layout::from_size_align(size * 2 + 1, align).expect("a layout");
                        let smaller = ALLOCATOR.realloc(larger, layout, 1);
                        assert!(smaller.addr() % align == 0 && *smaller == 7);
                        ALLOCATOR.dealloc(smaller, Layout::from_size_align(1, align).expect("a layout"));
                    }
                    let zeroed = ALLOCATOR.alloc_zeroed(layout);
                    assert!((0..size).all(|at| *zeroed.add(at) == 0), "{size} at {align}, zeroed");
                    ALLOCATOR.dealloc(zeroed, layout);
                }
            }
        }
    }

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
