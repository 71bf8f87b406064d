//! From values to the bytes of netlink messages.

/// Length of `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;
/// Messages and attributes start on multiples of this many bytes (`NLMSG_ALIGNTO`).
pub(super) const ALIGNMENT: usize = 4;

const NESTED: u16 = 1 << 15; // NLA_F_NESTED

/// Several messages that the kernel gets in one send, each with the words for its refusal.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    encoder: Encoder,
    /// What each message is about, in order: `doing[i]` belongs to sequence number `i + 1`.
    doing: Vec<String>,
    acknowledged: usize,
}

impl Batch {
    /// Appends a request. `doing` completes the sentence "cannot …".
    ///
    /// With `NLM_F_ACK` in `flags` the kernel also answers when all went well.
    pub(crate) fn message(
        &mut self,
        kind: u16,
        flags: i32,
        doing: impl Into<String>,
        body: impl FnOnce(&mut Encoder),
    ) {
        self.doing.push(doing.into());
        let flags = u16::try_from(flags | libc::NLM_F_REQUEST).expect("netlink flags are 16 bits");
        self.acknowledged += usize::from(flags & NLM_F_ACK != 0);
        let start = self.encoder.bytes.len();
        self.encoder.raw(&[0; 4]);
        self.encoder.raw(&kind.to_ne_bytes());
        self.encoder.raw(&flags.to_ne_bytes());
        let sequence = u32::try_from(self.doing.len()).expect("a batch is a few dozen messages");
        self.encoder.raw(&sequence.to_ne_bytes());
        self.encoder.raw(&[0; 4]); // port 0: the kernel
        body(&mut self.encoder);
        let length = self.encoder.bytes.len() - start;
        let length = u32::try_from(length).expect("a message is a few kilobytes");
        self.encoder.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self.encoder.align();
    }

    /// The bytes to send.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.encoder.bytes
    }

    /// How many acknowledgements will come if nothing is refused.
    pub(super) fn expected_acknowledgements(&self) -> usize {
        self.acknowledged
    }

    /// What the message with this sequence number was about.
    pub(super) fn doing(&self, sequence: u32) -> &str {
        let place = (sequence as usize).checked_sub(1);
        place.and_then(|place| self.doing.get(place)).map_or("talk to the kernel", String::as_str)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "NLM_F_ACK is 4")]
const NLM_F_ACK: u16 = libc::NLM_F_ACK as u16;

/// Writes the inside of one message.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// Bytes as they are: the fixed header that follows `nlmsghdr` in each message family.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// An attribute with these bytes as its value.
    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.around(kind, |inside| inside.raw(value));
    }

    /// An attribute with a number in the machine's byte order.
    pub(crate) fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// An attribute with a number in network byte order, as all of nfnetlink has it.
    pub(crate) fn network_number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// An attribute with a string and the NUL byte that ends it.
    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        self.around(kind, |inside| {
            inside.raw(value.as_bytes());
            inside.raw(&[0]);
        });
    }

    /// An attribute made of attributes.
    pub(crate) fn nested(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        self.around(kind | NESTED, body);
    }

    fn around(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.raw(&[0; 2]);
        self.raw(&kind.to_ne_bytes());
        body(self);
        let length = u16::try_from(self.bytes.len() - start).expect("attributes are below 64 KiB");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.align();
    }

    fn align(&mut self) {
        let length = self.bytes.len().next_multiple_of(ALIGNMENT);
        self.bytes.resize(length, 0);
    }
}
