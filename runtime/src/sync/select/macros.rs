//! The macros: they make a [`Select`](super::Select), and bind what comes of it.

/// Waits until one of several cases can go ahead, goes ahead with it, and evaluates what is after
/// its arrow.
///
/// | case | goes ahead when | binds |
/// |---|---|---|
/// | `recv(receiver) -> result => ...` | there is a message, or nobody sends | as [`recv`] |
/// | `send(sender, message) -> result => ...` | there is room, or nobody receives | as [`send`] |
/// | `join(handle) -> result => ...` | the task has ended | as [`join`] |
/// | `cancelled(token) => ...` | the token is cancelled | nothing |
/// | `notified(notify) => ...` | there is a notification | nothing |
/// | `readable(source) -> result => ...` | it is readable, or has an error | [`io::Result`] |
/// | `writable(source) -> result => ...` | it is writable, or has an error | [`io::Result`] |
/// | `default => ...` | no other can at once | nothing |
/// | `default(timeout) => ...` | no other can in time | nothing |
///
/// Where several can go ahead, chance decides; [`select_biased!`](crate::select_biased) takes the
/// first. There may be some forty cases, or more with a higher `recursion_limit`. For cases that
/// are not known beforehand there is [`Select`](crate::sync::select::Select).
///
/// The expressions in parentheses are evaluated once, from the first to the last, but for the
/// message, which is evaluated when its case has been chosen, and not at all otherwise. In a
/// channel of no capacity a receiver waits for it by then, past its own limit in time if need be,
/// and though it may be cancelled: so make it quickly. A handle is a place, `mut`, and moved out of
/// it by its case alone.
///
/// [`recv`]: crate::sync::channel::Receiver::recv
/// [`send`]: crate::sync::channel::Sender::send
/// [`join`]: crate::task::JoinHandle::join
/// [`io::Result`]: std::io::Result
///
/// # Blocking
///
/// Parks the task, or blocks a plain thread, unless there is a `default` without a timeout.
///
/// # Cancellation
///
/// A cancellation point, at entry and while it waits, unless there is a `default` without a
/// timeout. No case has gone ahead then.
///
/// # Panics
///
/// If there is no case.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::time::Duration;
///
/// use sedge::select;
/// use sedge::sync::channel;
/// use sedge::task::CancelToken;
///
/// sedge::run(|| {
///     let (jobs, receiver) = channel::bounded(0);
///     let (results, done) = channel::unbounded();
///     let stop = CancelToken::new();
///     let mut worker = sedge::spawn({
///         let stop = stop.clone();
///         let receiver = receiver.clone();
///         move || loop {
///             select! {
///                 recv(receiver) -> job => results.send(2 * job.unwrap()).unwrap(),
///                 cancelled(stop) => break "stopped",
///             }
///         }
///     });
///     select! {
///         send(jobs, 21) -> sent => sent.unwrap(),
///         default(Duration::from_secs(10)) => panic!("nobody takes the job"),
///     }
///     assert_eq!(done.recv(), Ok(42));
///     stop.cancel();
///     select! {
///         send(jobs, 1) -> sent => panic!("{sent:?}"),
///         join(worker) -> result => assert_eq!(result.unwrap(), "stopped"),
///     }
/// });
/// ```
#[macro_export]
macro_rules! select {
    ($($tokens:tt)*) => {
        $crate::__select!(@parse new [] [] $($tokens)*)
    };
}

/// As [`select!`](crate::select), but where several cases can go ahead it takes the first of them.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::channel;
///
/// let (urgent, urgents) = channel::unbounded();
/// let (usual, usuals) = channel::unbounded();
/// usual.send("usual").unwrap();
/// urgent.send("urgent").unwrap();
/// sedge::select_biased! {
///     recv(urgents) -> message => assert_eq!(message, Ok("urgent")),
///     recv(usuals) -> _ => unreachable!(),
/// }
/// ```
#[macro_export]
macro_rules! select_biased {
    ($($tokens:tt)*) => {
        $crate::__select!(@parse new_biased [] [] $($tokens)*)
    };
}

/// `@parse` takes the cases apart, `@bind` evaluates what is in their parentheses, each in a scope
/// around the next, `@emit` makes the selection, and `@run` goes through the cases for the one that
/// was chosen.
#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    // The default case stands apart.
    (@parse $new:ident [$($cases:tt)*] [] default $(())? => $body:block, $($rest:tt)*) => {
        $crate::__select!(@parse $new [$($cases)*] [(try_select () ($body))] $($rest)*)
    };
    (@parse $new:ident [$($cases:tt)*] [] default $(())? => $body:block $($rest:tt)*) => {
        $crate::__select!(@parse $new [$($cases)*] [(try_select () ($body))] $($rest)*)
    };
    (@parse $new:ident [$($cases:tt)*] [] default $(())? => $body:expr, $($rest:tt)*) => {
        $crate::__select!(@parse $new [$($cases)*] [(try_select () ($body))] $($rest)*)
    };
    (@parse $new:ident [$($cases:tt)*] [] default $(())? => $body:expr) => {
        $crate::__select!(@parse $new [$($cases)*] [(try_select () ($body))])
    };
    (@parse $new:ident [$($cases:tt)*] []
        default($timeout:expr $(,)?) => $body:block, $($rest:tt)*
    ) => {
        $crate::__select!(
            @parse $new [$($cases)*] [(select_timeout ($timeout) ($body))] $($rest)*
        )
    };
    (@parse $new:ident [$($cases:tt)*] []
        default($timeout:expr $(,)?) => $body:block $($rest:tt)*
    ) => {
        $crate::__select!(
            @parse $new [$($cases)*] [(select_timeout ($timeout) ($body))] $($rest)*
        )
    };
    (@parse $new:ident [$($cases:tt)*] []
        default($timeout:expr $(,)?) => $body:expr, $($rest:tt)*
    ) => {
        $crate::__select!(
            @parse $new [$($cases)*] [(select_timeout ($timeout) ($body))] $($rest)*
        )
    };
    (@parse $new:ident [$($cases:tt)*] [] default($timeout:expr $(,)?) => $body:expr) => {
        $crate::__select!(@parse $new [$($cases)*] [(select_timeout ($timeout) ($body))])
    };
    (@parse $new:ident [$($cases:tt)*] [$default:tt] default $($rest:tt)*) => {
        compile_error!("there is more than one `default` case")
    };
    (@parse $new:ident [$($cases:tt)*] $default:tt
        $kind:ident $args:tt $(-> $pattern:pat)? => $body:block, $($rest:tt)*
    ) => {
        $crate::__select!(
            @parse $new [$($cases)* ($kind $args ($($pattern)?) ($body))] $default $($rest)*
        )
    };
    (@parse $new:ident [$($cases:tt)*] $default:tt
        $kind:ident $args:tt $(-> $pattern:pat)? => $body:block $($rest:tt)*
    ) => {
        $crate::__select!(
            @parse $new [$($cases)* ($kind $args ($($pattern)?) ($body))] $default $($rest)*
        )
    };
    (@parse $new:ident [$($cases:tt)*] $default:tt
        $kind:ident $args:tt $(-> $pattern:pat)? => $body:expr, $($rest:tt)*
    ) => {
        $crate::__select!(
            @parse $new [$($cases)* ($kind $args ($($pattern)?) ($body))] $default $($rest)*
        )
    };
    (@parse $new:ident [$($cases:tt)*] $default:tt
        $kind:ident $args:tt $(-> $pattern:pat)? => $body:expr
    ) => {
        $crate::__select!(@parse $new [$($cases)* ($kind $args ($($pattern)?) ($body))] $default)
    };
    (@parse $new:ident [$($cases:tt)*] $default:tt) => {
        $crate::__select!(@bind $new [] $default $($cases)*)
    };
    (@parse $($rest:tt)*) => {
        compile_error!("a case reads `kind(what) -> pattern => expression,`")
    };

    (@bind $new:ident [$($bound:tt)*] $default:tt
        (recv ($receiver:expr $(,)?) ($pattern:pat) $body:tt) $($rest:tt)*
    ) => {
        match &$receiver {
            arm => $crate::__select!(
                @bind $new [$($bound)* (recv arm () ($pattern) $body)] $default $($rest)*
            ),
        }
    };
    (@bind $new:ident [$($bound:tt)*] $default:tt
        (send ($sender:expr, $message:expr $(,)?) ($pattern:pat) $body:tt) $($rest:tt)*
    ) => {
        match &$sender {
            arm => $crate::__select!(
                @bind $new [$($bound)* (send arm ($message) ($pattern) $body)] $default $($rest)*
            ),
        }
    };
    (@bind $new:ident [$($bound:tt)*] $default:tt
        (join ($handle:expr $(,)?) ($pattern:pat) $body:tt) $($rest:tt)*
    ) => {
        match &mut $handle {
            arm => $crate::__select!(
                @bind $new [$($bound)* (join arm ($handle) ($pattern) $body)] $default $($rest)*
            ),
        }
    };
    (@bind $new:ident [$($bound:tt)*] $default:tt
        (cancelled ($token:expr $(,)?) () $body:tt) $($rest:tt)*
    ) => {
        match &$token {
            arm => $crate::__select!(
                @bind $new [$($bound)* (cancelled arm () () $body)] $default $($rest)*
            ),
        }
    };
    (@bind $new:ident [$($bound:tt)*] $default:tt
        (notified ($notify:expr $(,)?) () $body:tt) $($rest:tt)*
    ) => {
        match &$notify {
            arm => $crate::__select!(
                @bind $new [$($bound)* (notified arm () () $body)] $default $($rest)*
            ),
        }
    };
    (@bind $new:ident [$($bound:tt)*] $default:tt
        (readable ($source:expr $(,)?) ($pattern:pat) $body:tt) $($rest:tt)*
    ) => {
        match &$source {
            arm => $crate::__select!(
                @bind $new [$($bound)* (readable arm () ($pattern) $body)] $default $($rest)*
            ),
        }
    };
    (@bind $new:ident [$($bound:tt)*] $default:tt
        (writable ($source:expr $(,)?) ($pattern:pat) $body:tt) $($rest:tt)*
    ) => {
        match &$source {
            arm => $crate::__select!(
                @bind $new [$($bound)* (writable arm () ($pattern) $body)] $default $($rest)*
            ),
        }
    };
    (@bind $new:ident $bound:tt [] ) => {
        $crate::__select!(@emit $new $bound)
    };
    (@bind $new:ident $bound:tt [$default:tt] ) => {
        $crate::__select!(@emit $new $bound $default)
    };
    (@bind $new:ident $bound:tt $default:tt ($kind:ident $($case:tt)*) $($rest:tt)*) => {
        compile_error!(concat!(
            "there is no such case: `", stringify!($kind), "`; see the table of `select!`"
        ))
    };

    (@emit $new:ident [$(($kind:ident $arm:ident $($case:tt)*))*]) => {{
        let operation = {
            let mut select = $crate::sync::select::Select::$new();
            $(select.$kind($arm);)*
            select.select()
        };
        $crate::__select!(@run operation (0) [unreachable!("it is one of the cases")]
            $(($kind $arm $($case)*))*)
    }};
    (@emit $new:ident [$(($kind:ident $arm:ident $($case:tt)*))*]
        ($wait:ident ($($timeout:expr)?) ($default:expr))
    ) => {{
        let operation = {
            #[allow(unused_mut, reason = "there may be no other case")]
            let mut select = $crate::sync::select::Select::$new();
            $(select.$kind($arm);)*
            let chosen = select.$wait($($timeout)?);
            chosen.unwrap_or_else(|_| $crate::sync::select::SelectedOperation::none())
        };
        $crate::__select!(@run operation (0) [$default] $(($kind $arm $($case)*))*)
    }};

    (@run $operation:ident ($at:expr) $default:tt
        (recv $arm:ident () ($pattern:pat) ($body:expr)) $($rest:tt)*
    ) => {
        if $operation.index() == $at {
            let $pattern = $operation.recv($arm);
            $body
        } else {
            $crate::__select!(@run $operation ($at + 1) $default $($rest)*)
        }
    };
    (@run $operation:ident ($at:expr) $default:tt
        (send $arm:ident ($message:expr) ($pattern:pat) ($body:expr)) $($rest:tt)*
    ) => {
        if $operation.index() == $at {
            let $pattern = $operation.send($arm, $message);
            $body
        } else {
            $crate::__select!(@run $operation ($at + 1) $default $($rest)*)
        }
    };
    (@run $operation:ident ($at:expr) $default:tt
        (join $arm:ident ($handle:expr) ($pattern:pat) ($body:expr)) $($rest:tt)*
    ) => {
        if $operation.index() == $at {
            $operation.done();
            let $pattern = $handle.join();
            $body
        } else {
            $crate::__select!(@run $operation ($at + 1) $default $($rest)*)
        }
    };
    (@run $operation:ident ($at:expr) $default:tt
        ($kind:ident $arm:ident () () ($body:expr)) $($rest:tt)*
    ) => {
        if $operation.index() == $at {
            $operation.done();
            $body
        } else {
            $crate::__select!(@run $operation ($at + 1) $default $($rest)*)
        }
    };
    (@run $operation:ident ($at:expr) $default:tt
        ($kind:ident $arm:ident () ($pattern:pat) ($body:expr)) $($rest:tt)*
    ) => {
        if $operation.index() == $at {
            let $pattern = $operation.ready();
            $body
        } else {
            $crate::__select!(@run $operation ($at + 1) $default $($rest)*)
        }
    };
    (@run $operation:ident $at:tt [$default:expr]) => {{
        drop($operation);
        $default
    }};
}
