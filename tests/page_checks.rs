//! The checks that pages are tested with, on pages with faults.

#[path = "support/browser.rs"]
mod browser;

#[test]
fn a_page_with_a_fault_is_found_out() {
    browser::check("check_browser.py", &[""; 0]);
}
