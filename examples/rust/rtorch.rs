//! Compiled models over the C ABI of rules_torch/abi.h, version 3.
//!
//! A `Library` is open as long as anything borrows it; a `Model` is destroyed, and what a
//! run allocated freed, when it goes out of scope. Models may be shared by threads.

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::fmt;
use std::marker::PhantomData;
use std::mem::{offset_of, size_of};
use std::ptr;

const ABI_VERSION: u32 = 3;
const MAX_RANK: usize = 8;
const MAX_MESSAGE: usize = 1024;
const OK: i32 = 0;
const NOT_FOUND: i32 = 5;
const INVALID_ARGUMENT: i32 = 3;
const UNIMPLEMENTED: i32 = 12;
const CPU: i32 = 1;

#[repr(C)]
struct RTorchError {
    code: i32,
    message: [c_char; MAX_MESSAGE],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct RTorchDevice {
    kind: i32,
    index: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct RTorchTensor {
    data: *mut c_void,
    dtype: i32,
    rank: i32,
    device: RTorchDevice,
    sizes: [i64; MAX_RANK],
    strides: [i64; MAX_RANK],
    owner: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut c_void)>,
    reserved: [u64; 2],
}

type RTorchModel = c_void;

#[repr(C)]
struct RTorchModelApi {
    abi_version: u32,
    struct_size: u32,
    name: *const c_char,
    signature: *const c_char,
    num_inputs: i32,
    num_outputs: i32,
    num_symbols: i32,
    num_weights: i32,
    num_steps: i32,
    stateful: i32,
    device_type: i32,
    reserved: i32,
    inputs: *const c_void,
    outputs: *const c_void,
    symbols: *const c_void,
    weights: *const c_void,
    steps: *const c_void,
    weights_size: u64,
    weights_fingerprint: *const c_char,
    build: *const c_void,
    create: unsafe extern "C" fn(
        *const RTorchModelApi,
        *const c_void,
        *mut *mut RTorchModel,
        *mut RTorchError,
    ) -> i32,
    destroy: unsafe extern "C" fn(*mut RTorchModel),
    run: unsafe extern "C" fn(
        *const RTorchModel,
        *const RTorchTensor,
        i32,
        *mut RTorchTensor,
        i32,
        *const c_void,
        *mut RTorchError,
    ) -> i32,
    release: unsafe extern "C" fn(*mut RTorchTensor),
}

/// Prints what layout.c prints of the same structs, for a test to compare.
pub fn print_layout() {
    println!(
        "RTorchError {} {}",
        size_of::<RTorchError>(),
        offset_of!(RTorchError, message)
    );
    println!(
        "RTorchTensor {} {} {} {} {} {} {} {}",
        size_of::<RTorchTensor>(),
        offset_of!(RTorchTensor, dtype),
        offset_of!(RTorchTensor, rank),
        offset_of!(RTorchTensor, device),
        offset_of!(RTorchTensor, sizes),
        offset_of!(RTorchTensor, strides),
        offset_of!(RTorchTensor, owner),
        offset_of!(RTorchTensor, deleter),
    );
    println!(
        "RTorchModelApi {} {} {} {} {} {} {} {} {} {} {}",
        offset_of!(RTorchModelApi, struct_size),
        offset_of!(RTorchModelApi, name),
        offset_of!(RTorchModelApi, signature),
        offset_of!(RTorchModelApi, num_inputs),
        offset_of!(RTorchModelApi, num_outputs),
        offset_of!(RTorchModelApi, device_type),
        offset_of!(RTorchModelApi, weights_size),
        offset_of!(RTorchModelApi, create),
        offset_of!(RTorchModelApi, destroy),
        offset_of!(RTorchModelApi, run),
        offset_of!(RTorchModelApi, release),
    );
    println!("{ABI_VERSION} {MAX_RANK} {MAX_MESSAGE}");
}

extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlclose(handle: *mut c_void) -> c_int;
    fn dlerror() -> *const c_char;
}

const RTLD_NOW: c_int = 2;

/// What failed: an RTorchCode, and a text for people.
#[derive(Debug)]
pub struct Error {
    pub code: i32,
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

fn fail<T>(code: i32, message: impl Into<String>) -> Result<T, Error> {
    Err(Error {
        code,
        message: message.into(),
    })
}

unsafe fn text(chars: *const c_char) -> String {
    CStr::from_ptr(chars).to_string_lossy().into_owned()
}

/// Calls a function of a table, and turns what it says into a Result.
fn checked(call: impl FnOnce(*mut RTorchError) -> i32) -> Result<(), Error> {
    let mut error = RTorchError {
        code: OK,
        message: [0; MAX_MESSAGE],
    };
    match call(&mut error) {
        OK => Ok(()),
        code => fail(code, unsafe { text(error.message.as_ptr()) }),
    }
}

/// A shared library that cc_torch_shared_library made.
pub struct Library {
    handle: *mut c_void,
    api: *const RTorchModelApi,
}

// The table is constant, and its functions may be called from any thread.
unsafe impl Send for Library {}
unsafe impl Sync for Library {}

impl Library {
    /// Opens a library; nothing of one that is refused stays loaded.
    pub fn open(path: &str) -> Result<Library, Error> {
        let Ok(c_path) = CString::new(path) else {
            return fail(INVALID_ARGUMENT, "a path has no zeros");
        };
        let handle = unsafe { dlopen(c_path.as_ptr(), RTLD_NOW) };
        if handle.is_null() {
            return fail(NOT_FOUND, unsafe { text(dlerror()) });
        }
        let mut library = Library {
            handle,
            api: ptr::null(),
        };
        let symbol = unsafe { dlsym(handle, c"rtorch_model_api".as_ptr()) };
        if symbol.is_null() {
            return fail(
                INVALID_ARGUMENT,
                "no compiled model: no symbol rtorch_model_api",
            );
        }
        let get: unsafe extern "C" fn() -> *const RTorchModelApi =
            unsafe { std::mem::transmute(symbol) };
        library.api = unsafe { get() };
        // The version is what all versions of the table begin with.
        let version = unsafe { (*library.api).abi_version };
        if version != ABI_VERSION {
            return fail(
                UNIMPLEMENTED,
                format!("it has ABI version {version}, this program knows {ABI_VERSION}"),
            );
        }
        let size = unsafe { (*library.api).struct_size } as usize;
        if size < size_of::<RTorchModelApi>() {
            return fail(
                UNIMPLEMENTED,
                format!(
                    "its table has {size} bytes, this program needs {}",
                    size_of::<RTorchModelApi>()
                ),
            );
        }
        Ok(library)
    }

    fn api(&self) -> &RTorchModelApi {
        unsafe { &*self.api }
    }

    pub fn name(&self) -> String {
        unsafe { text(self.api().name) }
    }

    pub fn signature(&self) -> String {
        unsafe { text(self.api().signature) }
    }

    /// Makes an instance, for the best instruction set that the CPU has.
    pub fn model(&self) -> Result<Model<'_>, Error> {
        let mut model = ptr::null_mut();
        let api = self.api();
        checked(|error| unsafe { (api.create)(api, ptr::null(), &mut model, error) })?;
        Ok(Model {
            library: self,
            model,
        })
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        unsafe { dlclose(self.handle) };
    }
}

/// An instance of a model.
pub struct Model<'a> {
    library: &'a Library,
    model: *mut RTorchModel,
}

// `run` may be called from many threads at once.
unsafe impl Send for Model<'_> {}
unsafe impl Sync for Model<'_> {}

impl Model<'_> {
    /// Runs the model, which reads the inputs and keeps none, and allocates the outputs.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Output<'_>>, Error> {
        let api = self.library.api();
        let views: Vec<RTorchTensor> = inputs.iter().map(|input| input.view).collect();
        let count = api.num_outputs;
        // An output whose data is null is allocated.
        let mut outputs = vec![empty(); count as usize];
        checked(|error| unsafe {
            (api.run)(
                self.model,
                views.as_ptr(),
                views.len() as i32,
                outputs.as_mut_ptr(),
                count,
                ptr::null(),
                error,
            )
        })?;
        let release = api.release;
        Ok(outputs
            .into_iter()
            .map(|tensor| Output {
                tensor,
                release,
                _library: PhantomData,
            })
            .collect())
    }
}

impl Drop for Model<'_> {
    fn drop(&mut self) {
        unsafe { (self.library.api().destroy)(self.model) };
    }
}

fn empty() -> RTorchTensor {
    RTorchTensor {
        data: ptr::null_mut(),
        dtype: 0,
        rank: 0,
        device: RTorchDevice {
            kind: CPU,
            index: 0,
        },
        sizes: [0; MAX_RANK],
        strides: [0; MAX_RANK],
        owner: ptr::null_mut(),
        deleter: None,
        reserved: [0; 2],
    }
}

/// Types of elements, with their RTorchDType.
pub trait Element: Copy {
    const DTYPE: i32;
}

macro_rules! elements {
    ($($type:ty = $dtype:literal),*) => {
        $(impl Element for $type { const DTYPE: i32 = $dtype; })*
    };
}

elements!(
    u8 = 0,
    i8 = 1,
    i16 = 2,
    i32 = 3,
    i64 = 4,
    f32 = 6,
    f64 = 7,
    bool = 11
);

/// A view of row-major contiguous elements.
pub struct Tensor<'a> {
    view: RTorchTensor,
    _elements: PhantomData<&'a ()>,
}

impl<'a> Tensor<'a> {
    /// Panics where the sizes are not those of so many elements.
    pub fn new<T: Element>(elements: &'a [T], sizes: &[i64]) -> Tensor<'a> {
        assert!(sizes.len() <= MAX_RANK, "at most {MAX_RANK} dimensions");
        let count = sizes.iter().try_fold(1usize, |count, &size| {
            count.checked_mul(usize::try_from(size).ok()?)
        });
        assert_eq!(count, Some(elements.len()), "sizes {sizes:?}");
        let mut view = empty();
        // Models only read their inputs.
        view.data = elements.as_ptr() as *mut c_void;
        view.dtype = T::DTYPE;
        view.rank = sizes.len() as i32;
        let mut stride = 1;
        for (i, &size) in sizes.iter().enumerate().rev() {
            view.sizes[i] = size;
            view.strides[i] = stride;
            // Overflows only where a size is 0, and no stride is used.
            stride = size.wrapping_mul(stride);
        }
        Tensor {
            view,
            _elements: PhantomData,
        }
    }
}

/// What a run allocated, row-major contiguous.
pub struct Output<'a> {
    tensor: RTorchTensor,
    release: unsafe extern "C" fn(*mut RTorchTensor),
    _library: PhantomData<&'a ()>,
}

impl Output<'_> {
    pub fn sizes(&self) -> &[i64] {
        &self.tensor.sizes[..self.tensor.rank as usize]
    }

    /// All elements, or an error if they are of another type or in a GPU's memory.
    pub fn elements<T: Element>(&self) -> Result<&[T], Error> {
        if self.tensor.dtype != T::DTYPE {
            return fail(
                INVALID_ARGUMENT,
                format!(
                    "the output has dtype {}, not {}",
                    self.tensor.dtype,
                    T::DTYPE
                ),
            );
        }
        if self.tensor.device.kind != CPU {
            return fail(
                INVALID_ARGUMENT,
                format!(
                    "the output is on device type {}, not in host memory",
                    self.tensor.device.kind
                ),
            );
        }
        let count = self.sizes().iter().product::<i64>() as usize;
        if count == 0 {
            return Ok(&[]);
        }
        Ok(unsafe { std::slice::from_raw_parts(self.tensor.data as *const T, count) })
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        unsafe { (self.release)(&mut self.tensor) };
    }
}
