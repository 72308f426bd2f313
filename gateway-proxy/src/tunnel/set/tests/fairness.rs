//! What a tunnel at full speed leaves to its neighbours.

use std::io::{Read, Write};

use super::super::super::driver::TURN_BYTES;
use super::*;

/// A connected pair: one end for a tunnel, the other for a thread of its own.
async fn pair_for_a_thread() -> (TcpStream, std::net::TcpStream) {
    let (near, far) = pair().await;
    let far = far.into_std().unwrap();
    far.set_nonblocking(false).unwrap();
    (near, far)
}

/// How much the tunnels of `set` but for the one at `place` have carried to clients.
fn carried_beside(set: &TunnelSet, place: usize) -> u64 {
    let entries = set.entries.borrow();
    let others = entries.iter().filter(|(slot, _)| *slot != place);
    others
        .map(|(_, entry)| entry.tunnel.machine.borrow().summary(Duration::ZERO))
        .map(|summary| summary.to_client.bytes)
        .sum()
}

/// Counted in bytes, since time on a busy machine says nothing: while a message of a neighbour is under
/// way, the tunnel at full speed has a few turns, and each is bounded.
#[test]
fn a_neighbours_message_waits_for_a_few_turns_at_most() {
    run(async {
        let mut rig = Rig::new().await;
        let (near, mut takes) = pair_for_a_thread().await;
        let (far, mut gives) = pair_for_a_thread().await;
        let load = PerWorker::new(2);
        let about = about(ListenerId(1), TargetId(2), &load);
        rig.set.open(near.into(), b"", far.into(), b"", about);
        let ends = [&takes, &gives].map(|socket| socket.try_clone().unwrap());
        let giving = std::thread::spawn(move || {
            let message = long_frame(4 << 20);
            while gives.write_all(&message).is_ok() {}
        });
        let taking = std::thread::spawn(move || {
            let mut room = vec![0; 1 << 20];
            while takes.read(&mut room).is_ok_and(|count| count > 0) {}
        });
        while carried_beside(&rig.set, 0) < 64 << 20 {
            tokio::task::yield_now().await;
        }
        let mut most = 0;
        for _ in 0..200 {
            let before = carried_beside(&rig.set, 0);
            rig.client.write_all(&masked(b"hello")).await.unwrap();
            expect(&mut rig.backend, &masked(b"hello")).await;
            most = most.max(carried_beside(&rig.set, 0) - before);
        }
        // Both threads' calls fail, so that they end.
        for socket in ends {
            socket.shutdown(std::net::Shutdown::Both).unwrap();
        }
        giving.join().unwrap();
        taking.join().unwrap();
        let turn = (TURN_BYTES + READ_LIMIT) as u64;
        assert!(most <= 4 * turn, "{most} bytes, {} turns", most / turn);
    });
}
