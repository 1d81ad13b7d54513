/* SPDX-License-Identifier: MIT */
/*
 * virtio.h - what a virtio device is, and how it works with its queues (Virtual I/O Device Version
 * 1.2; numbers in brackets below are its sections). Transport: PCI, modern only (4.1).
 *
 * A device is one file:
 *   - its state begins with struct virtio_state and holds no pointers;
 *   - a const struct virtio_class says what it is;
 *   - DEVICE_CLASS() names it, with `.pci = &virtio_pci` and `.virtio = &its_class`. No `reset`
 * there: virtio_class.reset is called by the transport. `count` for several of them.
 *   - host resources in open()/close() (device.h), threads in start()/stop().
 *
 * Rules. Everything here is called under the device lock; a device's own thread takes it with
 * device_enter(). The driver is not trusted: virtq_pop() copies each descriptor once and checks all
 * of a chain before it hands it out; a queue that breaks the rules makes the device need a reset
 * (2.1.2) and stops it, nothing else. Sizes of requests never size an allocation.
 *
 *     static void notify(struct device *device, unsigned queue)
 *     {
 *         struct virtq_chain chain;
 *         do {
 *             while (virtq_pop(device, queue, &chain) > 0) {
 *                 ... virtq_read(), virtq_write() ...
 *                 virtq_push(device, queue, chain.head, written);
 *             }
 *         } while (virtq_more(device, queue));
 *         virtq_signal(device, queue);
 *     }
 *
 * A driver that never stops asking must not keep the device lock for ever: after DEVICE_BUDGET
 * chains in one go virtq_pop() and virtq_more() say that there are none, and a timer is set for
 * now. So a class has `.timer = virtio_again`, or a timer of its own that looks at the queues.
 *
 * A chain may be kept and pushed later, from an event: remember head, not addresses of the chain's
 * memory, and do not touch guest memory for it once virtio_running() is false. While such chains
 * are out a driver's reset waits (device_status does not read 0 yet, 2.4.2, 4.1.4.3.1); the
 * device's `reset` is called when the last was pushed.
 */
#ifndef ORIGAMI_MACHINE_VIRTIO_H
#define ORIGAMI_MACHINE_VIRTIO_H

#include "../pci/msix.h"

#define VIRTIO_QUEUES     16u
#define VIRTIO_QUEUE_SIZE 256u /* largest a device may offer */
#define VIRTQ_SEGMENTS    260u /* descriptors in one chain, at most */

/* Reserved feature bits [6] */
#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX     (1ull << 29)
#define VIRTIO_F_VERSION_1     (1ull << 32)

/* Device status [2.1] */
#define VIRTIO_STATUS_ACKNOWLEDGE 1u
#define VIRTIO_STATUS_DRIVER      2u
#define VIRTIO_STATUS_DRIVER_OK   4u
#define VIRTIO_STATUS_FEATURES_OK 8u
#define VIRTIO_STATUS_NEEDS_RESET 64u
#define VIRTIO_STATUS_FAILED      128u

struct virtio_queue {
    uint64_t descriptors, available, used; /* guest-physical [2.7] */
    uint16_t size;
    uint16_t vector; /* MSI-X, or MSIX_NONE */
    uint16_t next_available, next_used;
    uint16_t signalled; /* next_used when the driver was told last */
    uint8_t told;       /* it has been told at all since the queue was enabled */
    uint8_t enabled;
    uint16_t taken; /* chains popped and not pushed; 0 in saved state */
    uint16_t reserved[3];
};

/* The start of every virtio device's state. */
struct virtio_state {
    struct pci_state pci;
    struct msix_state msix;
    uint64_t driver_features;
    uint32_t device_feature_select, driver_feature_select;
    uint16_t queue_select, config_vector;
    uint8_t status, interrupt_status, config_generation;
    uint8_t resetting; /* the driver asked for a reset; chains are still out */
    uint16_t window;   /* configuration-space offset of the window to the BAR [4.1.4.9] */
    uint16_t reserved[3];
    struct virtio_queue queue[VIRTIO_QUEUES];
};

struct virtio_class {
    uint16_t type; /* [5] */
    uint8_t first_slot;
    uint32_t class_code;  /* PCI's, 24 bits */
    uint16_t queue_size;  /* power of two, at most VIRTIO_QUEUE_SIZE */
    uint16_t config_size; /* bytes of the device's configuration, at most 4096 */
    unsigned (*queues)(const struct device *device);   /* at most VIRTIO_QUEUES; constant */
    uint64_t (*features)(const struct device *device); /* offered, beyond those of the transport */
    /* Makes the configuration space of config_size bytes [2.5]. */
    void (*config)(const struct device *device, uint8_t *config);
    /* A write into it; NULL = all is read-only. Changes what config() makes, or nothing. */
    void (*config_write)(struct device *device, unsigned offset, unsigned size, uint32_t value);
    /* Everything after struct virtio_state to its state after reset. No chain is out. May be NULL.
     */
    void (*reset)(struct device *device);
    /* The driver has set DRIVER_OK. May be NULL. */
    void (*ready)(struct device *device);
    /* The driver made chains available in an enabled queue. */
    void (*notify)(struct device *device, unsigned queue);
    /* Saved state: is what follows struct virtio_state possible? NULL = any is. */
    int (*check)(const struct device *device, const void *state);
    /* State was loaded, or made current again. May be NULL. */
    void (*resume)(struct device *device);
};

/* The PCI side of every virtio device. */
extern const struct pci_class virtio_pci;

static inline struct virtio_state *virtio_state_of(const struct device *device)
{
    return device->state;
}

/* DRIVER_OK, not broken, not being reset, and a bus master: may queues be worked on? */
bool virtio_running(const struct device *device);
/* Both sides have agreed on `feature` (one bit). */
static inline bool virtio_has(const struct device *device, uint64_t feature)
{
    return virtio_state_of(device)->driver_features & feature;
}
/* The configuration has changed: new generation, and an interrupt [2.5, 4.1.4.5]. */
void virtio_config_changed(struct device *device);
/* The driver broke the rules: DEVICE_NEEDS_RESET; nothing more happens until it resets. */
void virtio_fail(struct device *device);

/* A device's timer: looks at all its queues, as if they had been notified. */
void virtio_again(struct device *device);

/* ---- Queues ---- */

struct virtq_segment {
    uint64_t gpa;
    uint32_t size; /* > 0; all of it RAM */
};

struct virtq_chain {
    uint16_t head;               /* what virtq_push() wants back */
    unsigned readable, writable; /* segments for the device to read, then those to write */
    uint64_t readable_size, writable_size; /* their bytes */
    struct virtq_segment segment[VIRTQ_SEGMENTS];
};

/* Takes the next chain. 1; 0: there is none (or the device may not run); -EPROTO: the queue is
 * broken and virtio_fail() has been called. */
int MUST_CHECK virtq_pop(struct device *device, unsigned queue, struct virtq_chain *chain);
/* After virtq_pop() gave 0: asks for a notification of the next chain, then looks again. True:
 * there is one already. */
bool virtq_more(struct device *device, unsigned queue);
/* How many chains are waiting, without taking one; 0 if the device may not run. */
unsigned virtq_waiting(struct device *device, unsigned queue);
/* Puts the newest chain popped back, as if it had not been taken. */
void virtq_unpop(struct device *device, unsigned queue);
/* Gives a chain back; `written` bytes of its writable part, from its start, hold data. */
void virtq_push(struct device *device, unsigned queue, uint16_t head, uint32_t written);
/* The same for several, which the driver sees all at once. */
struct virtq_used {
    uint32_t head, written;
};
void virtq_push_all(struct device *device, unsigned queue, const struct virtq_used *used,
                    unsigned count);
/* Interrupts the driver if it wants to know about what was pushed since the last time. */
void virtq_signal(struct device *device, unsigned queue);

/* Copies between a chain's readable (writable) part and `data`; `offset` counts from the part's
 * start. Returns how many bytes were copied: less than `size` only at the part's end. */
size_t virtq_read(struct device *device, const struct virtq_chain *chain, uint64_t offset,
                  void *data, size_t size);
size_t virtq_write(struct device *device, const struct virtq_chain *chain, uint64_t offset,
                   const void *data, size_t size);

/* The same without a copy: host pointers to [offset, offset + size) of the readable or writable
 * part, at most `count` of them, as the kernel's vectors; for I/O that may still run after the
 * call. -EFAULT or -E2BIG, nothing held then; else how many. Give them back with virtq_unmap(),
 * which also tells everybody what was written. */
struct iovec;
int MUST_CHECK virtq_map(struct device *device, const struct virtq_chain *chain, bool write,
                         uint64_t offset, uint64_t size, struct iovec *vector, unsigned count);
void virtq_unmap(struct device *device, const struct iovec *vector, unsigned count, bool write);

/* ---- Between queue.c and transport.c ---- */
/* Is the queue as the driver described it possible? Then it starts from its beginning. */
int MUST_CHECK virtq_enable(struct device *device, unsigned queue);
void virtio_interrupt(struct device *device, uint16_t vector, uint8_t reason);
void virtio_finish_reset(struct device *device);
#define VIRTIO_INTERRUPT_QUEUE  1u
#define VIRTIO_INTERRUPT_CONFIG 2u

#endif
