/* SPDX-License-Identifier: MIT */
/*
 * acpi_pm.c - ACPI fixed hardware: PM1 event and control registers and the power-management timer
 * (ACPI specification 6.4, 4.8.3). Writing SLP_EN with the type of S5 turns the machine off.
 *
 * The timer has 32 bits and runs at 3.579545 MHz of virtual time. TMR_STS is set whenever its top
 * bit changes; nothing ticks, the state is computed when somebody looks.
 */
#include "../firmware/acpi.h"
#include "device.h"

#define TIMER_HZ     3579545u
#define TIMER_STS    0x0001u
#define EVENTS       0x0721u /* TMR, GBL, PWRBTN, SLPBTN, RTC: bits that exist */
#define SCI_ENABLED  0x0001u
#define SLEEP_TYPE   10
#define SLEEP_ENABLE 0x2000u

struct acpi_pm {
    uint16_t status, enable, control;
    uint16_t reserved;
    uint64_t half; /* half periods of the timer seen: ticks >> 31 */
};

static uint64_t ticks_at(uint64_t now)
{
    return (uint64_t)((unsigned __int128)now * TIMER_HZ / 1000000000u);
}

/* The first nanosecond at which the timer shows `ticks`. */
static uint64_t time_of(uint64_t ticks)
{
    return (uint64_t)(((unsigned __int128)ticks * 1000000000u + TIMER_HZ - 1) / TIMER_HZ);
}

/* Brings TMR_STS up to now, drives the SCI, asks for the next change of the top bit if it matters.
 */
static void acpi_pm_update(struct device *device)
{
    struct acpi_pm *pm = device->state;
    uint64_t half = ticks_at(device_now(device)) >> 31;

    if (half != pm->half) {
        pm->half = half;
        pm->status |= TIMER_STS;
    }
    device_irq(device, ACPI_SCI, (pm->status & pm->enable) != 0);
    device_set_timer(device, pm->enable & TIMER_STS ? time_of((half + 1) << 31) : DEVICE_NEVER);
}

static uint64_t acpi_pm_read(struct device *device, uint64_t address, unsigned size)
{
    struct acpi_pm *pm = device->state;
    uint64_t value;

    acpi_pm_update(device);
    if (address >= ACPI_PM_TIMER)
        value = (uint32_t)ticks_at(device_now(device)) >> (8 * (address - ACPI_PM_TIMER));
    else if (address >= ACPI_PM1_CONTROL)
        value = (uint64_t)(pm->control | SCI_ENABLED) >> (8 * (address - ACPI_PM1_CONTROL));
    else
        value = ((uint64_t)pm->enable << 16 | pm->status) >> (8 * (address - ACPI_PM1_EVENT));
    (void)size;
    return value;
}

static void write_control(struct device *device, uint16_t value)
{
    struct acpi_pm *pm = device->state;

    if (value & SLEEP_ENABLE && (value >> SLEEP_TYPE & 7) == ACPI_SLEEP_S5)
        device_request(device, REQUEST_POWER_OFF, 0);
    pm->control = value & 0x1c07; /* SLP_TYP, GBL_RLS, BM_RLD, SCI_EN; SLP_EN reads as 0 */
}

static void acpi_pm_write(struct device *device, uint64_t address, unsigned size, uint64_t value)
{
    struct acpi_pm *pm = device->state;
    unsigned shift = 8 * (unsigned)(address & 1);
    uint16_t mask = (uint16_t)(size == 1 ? 0xffu << shift : 0xffffu);
    uint16_t bits = (uint16_t)(value << shift);

    acpi_pm_update(device);
    switch (address & ~1ull) {
    case ACPI_PM1_EVENT: /* write one to clear */
        pm->status &= (uint16_t) ~(bits & mask);
        if (size == 4)
            pm->enable = (uint16_t)(value >> 16) & EVENTS;
        break;
    case ACPI_PM1_EVENT + 2:
        pm->enable = (uint16_t)((pm->enable & ~mask) | (bits & mask)) & EVENTS;
        break;
    case ACPI_PM1_CONTROL:
        write_control(device, (uint16_t)((pm->control & ~mask) | (bits & mask)));
        break;
    default: /* the timer is read-only */
        break;
    }
    acpi_pm_update(device);
}

static void acpi_pm_reset(struct device *device)
{
    *(struct acpi_pm *)device->state =
        (struct acpi_pm){ .half = ticks_at(device_now(device)) >> 31 };
    acpi_pm_update(device);
}

DEVICE_CLASS(acpi_pm) = {
    .name = "acpi_pm",
    .version = 1,
    .state_size = sizeof(struct acpi_pm),
    .range = { { .base = ACPI_PM1_EVENT, .length = 4, .width = 4, .space = SPACE_PORT },
               { .base = ACPI_PM1_CONTROL, .length = 2, .width = 2, .space = SPACE_PORT },
               { .base = ACPI_PM_TIMER, .length = 4, .width = 4, .space = SPACE_PORT } },
    .reset = acpi_pm_reset,
    .read = acpi_pm_read,
    .write = acpi_pm_write,
    .timer = acpi_pm_update,
    .resume = acpi_pm_update,
};
