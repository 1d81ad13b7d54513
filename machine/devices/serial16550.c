/* SPDX-License-Identifier: MIT */
/*
 * serial16550.c - the first serial port, a 16550A at 0x3f8, IRQ 4 (National Semiconductor PC16550D
 * datasheet). It is the machine's console.
 *
 * Input stays with the console until the guest is ready for it: it has enabled the receive
 * interrupt, or polls for it (reads LSR over and over without sending). So nothing that was typed
 * or piped in early is lost when a driver empties the FIFOs at start-up. To the guest those bytes
 * arrive later, that is all.
 *
 * Deviations: bytes take no time, so the divisor is kept but not applied; a received byte below the
 * FIFO's trigger level raises the character timeout at once; no parity, framing or break errors
 * happen. While the console takes no more output, the transmitter stays busy (THRE clear); what is
 * written then is lost, as on a real port.
 */
#include "device.h"
#include <errno.h>

#define BASE             0x3f8u
#define IRQ              4u
#define FIFO             16u
#define POLLS_TO_RECEIVE 8u /* drivers that send look at LSR twice a byte */

enum { DATA, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

#define IER_RECEIVE  0x01u
#define IER_TRANSMIT 0x02u
#define IER_LINE     0x04u
#define IER_MODEM    0x08u
#define IIR_NONE     0x01u
#define IIR_MODEM    0x00u
#define IIR_TRANSMIT 0x02u
#define IIR_RECEIVE  0x04u
#define IIR_LINE     0x06u
#define IIR_TIMEOUT  0x0cu
#define IIR_FIFOS    0xc0u
#define FCR_ENABLE   0x01u
#define FCR_CLEAR_RX 0x02u
#define LCR_DLAB     0x80u
#define MCR_OUT2     0x08u /* gates the interrupt on PCs */
#define MCR_LOOP     0x10u
#define LSR_READY    0x01u
#define LSR_OVERRUN  0x02u
#define LSR_EMPTY    0x60u /* THRE and TEMT */
#define MSR_DELTAS   0x0fu
#define MSR_PRESENT  0xb0u /* DCD, DSR, CTS: somebody is listening */

struct serial {
    uint8_t ier, fcr, lcr, mcr, msr, scr, dll, dlm;
    uint8_t overrun;
    uint8_t transmit_pending; /* the "holding register empty" interrupt, until IIR is read */
    uint8_t busy;             /* the console took no more: holding register full */
    uint8_t count, head;      /* of the receive FIFO */
    uint8_t fifo[FIFO];
    uint8_t polls; /* reads of LSR in a row without data or output */
    uint8_t reserved[2];
};

static unsigned fifo_depth(const struct serial *serial)
{
    return serial->fcr & FCR_ENABLE ? FIFO : 1;
}

static unsigned trigger_level(const struct serial *serial)
{
    static const uint8_t level[4] = { 1, 4, 8, 14 };

    return serial->fcr & FCR_ENABLE ? level[serial->fcr >> 6] : 1;
}

/* The highest-priority interrupt that is pending and enabled (datasheet table IV). */
static unsigned identify(const struct serial *serial)
{
    if (serial->ier & IER_LINE && serial->overrun)
        return IIR_LINE;
    if (serial->ier & IER_RECEIVE && serial->count)
        return serial->count >= trigger_level(serial) ? IIR_RECEIVE : IIR_TIMEOUT;
    if (serial->ier & IER_TRANSMIT && serial->transmit_pending)
        return IIR_TRANSMIT;
    if (serial->ier & IER_MODEM && serial->msr & MSR_DELTAS)
        return IIR_MODEM;
    return IIR_NONE;
}

static void update_irq(struct device *device)
{
    struct serial *serial = device->state;
    bool gate = serial->mcr & MCR_OUT2 && !(serial->mcr & MCR_LOOP);

    device_irq(device, IRQ, gate && identify(serial) != IIR_NONE);
}

static void receive(struct serial *serial, uint8_t byte)
{
    if (serial->count == fifo_depth(serial)) {
        serial->overrun = 1;
        return;
    }
    serial->fifo[(serial->head + serial->count++) % FIFO] = byte;
}

static bool wants_input(const struct serial *serial)
{
    return !(serial->mcr & MCR_LOOP) &&
           (serial->ier & IER_RECEIVE || serial->polls >= POLLS_TO_RECEIVE);
}

/* Takes console input as far as there is room, and notices that output may go on. */
static void serial_console(struct device *device)
{
    struct serial *serial = device->state;

    while (wants_input(serial) && serial->count < fifo_depth(serial)) {
        int byte = device_console_get(device);
        if (byte < 0)
            break;
        receive(serial, (uint8_t)byte);
    }
    if (serial->busy && device_console_room(device)) {
        serial->busy = 0;
        serial->transmit_pending = 1;
    }
    update_irq(device);
}

static void transmit(struct device *device, uint8_t byte)
{
    struct serial *serial = device->state;

    serial->transmit_pending = 0;
    serial->polls = 0;
    if (serial->mcr & MCR_LOOP) {
        receive(serial, byte);
        serial->transmit_pending = 1;
        return;
    }
    device_console_put(device, byte);
    serial->busy = !device_console_room(device);
    serial->transmit_pending = !serial->busy;
}

static uint8_t read_data(struct device *device)
{
    struct serial *serial = device->state;
    uint8_t byte = 0;

    if (serial->count) {
        byte = serial->fifo[serial->head];
        serial->head = (uint8_t)((serial->head + 1) % FIFO);
        serial->count--;
    }
    serial_console(device);
    return byte;
}

/* In loopback the modem outputs come back as inputs (datasheet 8.6.7). */
static uint8_t modem_status(const struct serial *serial)
{
    uint8_t mcr = serial->mcr;
    uint8_t deltas = serial->msr & MSR_DELTAS;

    if (!(mcr & MCR_LOOP))
        return MSR_PRESENT | deltas;
    return (uint8_t)((mcr & 1) << 5 | (mcr & 2) << 3 | (mcr & 4) << 4 | (mcr & 8) << 4 | deltas);
}

static uint8_t read_line_status(struct device *device)
{
    struct serial *serial = device->state;

    if (serial->count)
        serial->polls = 0;
    else if (serial->polls < POLLS_TO_RECEIVE && ++serial->polls == POLLS_TO_RECEIVE)
        serial_console(device);
    uint8_t value = (uint8_t)((serial->count ? LSR_READY : 0) |
                              (serial->overrun ? LSR_OVERRUN : 0) | (serial->busy ? 0 : LSR_EMPTY));
    serial->overrun = 0;
    return value;
}

static uint64_t serial_read(struct device *device, uint64_t address, unsigned size)
{
    struct serial *serial = device->state;
    uint8_t value = 0;

    (void)size;
    switch (address - BASE) {
    case DATA:
        return serial->lcr & LCR_DLAB ? serial->dll : read_data(device);
    case IER:
        return serial->lcr & LCR_DLAB ? serial->dlm : serial->ier;
    case IIR_FCR:
        value = (uint8_t)identify(serial);
        if (value == IIR_TRANSMIT)
            serial->transmit_pending = 0;
        value |= serial->fcr & FCR_ENABLE ? IIR_FIFOS : 0;
        break;
    case LCR:
        return serial->lcr;
    case MCR:
        return serial->mcr;
    case LSR:
        value = read_line_status(device);
        break;
    case MSR:
        value = modem_status(serial);
        serial->msr &= (uint8_t)~MSR_DELTAS;
        break;
    default:
        return serial->scr;
    }
    update_irq(device);
    return value;
}

static void write_ier(struct serial *serial, uint8_t value)
{
    /* Enabling the interrupt while the holding register is empty raises it. */
    if (value & ~serial->ier & IER_TRANSMIT && !serial->busy)
        serial->transmit_pending = 1;
    serial->ier = value & 0x0f;
}

static void write_fcr(struct serial *serial, uint8_t value)
{
    /* Turning the FIFOs on or off empties them. */
    if (value & FCR_CLEAR_RX || (value ^ serial->fcr) & FCR_ENABLE)
        serial->count = serial->head = 0;
    serial->fcr = value & FCR_ENABLE ? value & 0xc9 : 0;
}

/* Loopback on or off changes the modem inputs; the changes show as deltas. */
static void write_mcr(struct serial *serial, uint8_t value)
{
    uint8_t before = modem_status(serial);

    serial->mcr = value & 0x1f;
    uint8_t changed = (before ^ modem_status(serial)) >> 4 & 0x0f;
    if (!(before & 0x40))
        changed &= 0x0b; /* RI counts at its falling edge only */
    serial->msr |= changed;
}

static void serial_write(struct device *device, uint64_t address, unsigned size, uint64_t value)
{
    struct serial *serial = device->state;
    uint8_t byte = (uint8_t)value;

    (void)size;
    switch (address - BASE) {
    case DATA:
        if (serial->lcr & LCR_DLAB)
            serial->dll = byte;
        else
            transmit(device, byte);
        break;
    case IER:
        if (serial->lcr & LCR_DLAB)
            serial->dlm = byte;
        else
            write_ier(serial, byte);
        break;
    case IIR_FCR:
        write_fcr(serial, byte);
        break;
    case LCR:
        serial->lcr = byte;
        break;
    case MCR:
        write_mcr(serial, byte);
        break;
    case SCR:
        serial->scr = byte;
        break;
    default: /* LSR and MSR: factory tests */
        break;
    }
    serial_console(device);
}

static void serial_reset(struct device *device)
{
    struct serial *serial = device->state;

    *serial = (struct serial){ .dll = 12 /* 9600 baud */, .transmit_pending = 1 };
    serial->busy = !device_console_room(device);
    update_irq(device);
}

static int serial_check(const void *state)
{
    const struct serial *serial = state;

    return serial->count > FIFO || serial->head >= FIFO ? -EINVAL : 0;
}

DEVICE_CLASS(serial16550) = {
    .name = "serial16550",
    .version = 1,
    .state_size = sizeof(struct serial),
    .range = { { .base = BASE, .length = 8, .width = 1, .space = SPACE_PORT } },
    .reset = serial_reset,
    .read = serial_read,
    .write = serial_write,
    .console = serial_console,
    .check = serial_check,
    .resume = serial_console,
};
