//! proto
pub mod err;
mod zero;
/// proto
#[derive(Debug)]
pub struct Zero<T>(zero::Channel<T>);
impl<T> Zero<T> {
    /// x
    #[inline]
    pub fn new() -> Self {
        Self(zero::Channel::new())
    }
    /// x
    #[inline]
    pub fn send(&self, m: T) {
        crate::wait::checkpoint();
        self.0.send(m, &mut crate::wait::Limit::Never).ok().unwrap()
    }
    /// x
    #[inline]
    pub fn recv(&self) -> T {
        crate::wait::checkpoint();
        self.0.recv(&mut crate::wait::Limit::Never).ok().unwrap()
    }
}
