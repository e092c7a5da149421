//! How a server and an agent prove themselves to each other before the server passes a call on.

use crate::wire;

wire! {
    /// A server's question to the agent of a node; salt and nonce in hexadecimal digits.
    ProofRequest {
        node: String = "NodeID",
        salt: String = "Salt",
        nonce: String = "Nonce",
    }
}

wire! {
    /// The agent's proof that it knows the node's secret, and a ticket: for as long as it lives, calls can be
    /// proven by it, each by a code over its method and path. The body of a call is not covered.
    ProofAnswer {
        proof: String = "Proof",
        ticket: String = "Ticket",
    }
}
