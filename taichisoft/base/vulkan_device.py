"""Vulkan devices, and whether they are hardware, asked of the Vulkan loader itself.

Taichi does not tell which device it would use. A software driver is fine when asked for by name but must
not be taken for the best backend present.
"""

import ctypes
import ctypes.util

DEVICE_TYPE_CPU = 4  # VK_PHYSICAL_DEVICE_TYPE_CPU


class _InstanceCreateInfo(ctypes.Structure):
    _fields_ = [
        ("sType", ctypes.c_int32),
        ("pNext", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("pApplicationInfo", ctypes.c_void_p),
        ("enabledLayerCount", ctypes.c_uint32),
        ("ppEnabledLayerNames", ctypes.c_void_p),
        ("enabledExtensionCount", ctypes.c_uint32),
        ("ppEnabledExtensionNames", ctypes.c_void_p),
    ]


class _DeviceProperties(ctypes.Structure):
    # The leading members of VkPhysicalDeviceProperties; the rest is room for the driver to write to.
    _fields_ = [
        ("apiVersion", ctypes.c_uint32),
        ("driverVersion", ctypes.c_uint32),
        ("vendorID", ctypes.c_uint32),
        ("deviceID", ctypes.c_uint32),
        ("deviceType", ctypes.c_uint32),
        ("deviceName", ctypes.c_char * 256),
        ("rest", ctypes.c_char * 2048),
    ]


def vulkan_devices() -> list[tuple[str, bool]]:
    """Return (name, is hardware) of each Vulkan device; empty without a loader, driver or device."""
    try:
        loader = ctypes.CDLL(ctypes.util.find_library("vulkan") or "libvulkan.so.1")
    except OSError:
        return []
    instance = ctypes.c_void_p()
    info = _InstanceCreateInfo(sType=1)  # VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO
    if loader.vkCreateInstance(ctypes.byref(info), None, ctypes.byref(instance)) != 0:
        return []
    try:
        count = ctypes.c_uint32()
        if loader.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None) < 0:
            return []
        handles = (ctypes.c_void_p * count.value)()
        if loader.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles) < 0:
            return []
        return [_describe(loader, handle) for handle in handles]
    finally:
        loader.vkDestroyInstance(instance, None)


def _describe(loader: ctypes.CDLL, handle: int | None) -> tuple[str, bool]:
    properties = _DeviceProperties()
    loader.vkGetPhysicalDeviceProperties(ctypes.c_void_p(handle), ctypes.byref(properties))
    name = properties.deviceName.decode(errors="replace")
    return name, properties.deviceType != DEVICE_TYPE_CPU
