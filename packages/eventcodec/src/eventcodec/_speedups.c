/* The codec's inner loops in C, for any event: optional, and never the judge of a fault.
 *
 * Rule: this module knows no event. A `Program` is made from a class's declaration (fixed
 * integers, flags, counted and remaining text or bytes) and handles what is good. Whatever is
 * not good, or not known here, goes to the Python function of the same name, which decides and
 * explains: errors, offsets and texts have one source.
 *
 * Limited API of Python 3.11: one binary serves every later version. There is no global state.
 */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define LENGTH_SIZE 4
#define HEADER_SIZE 16
#define MIN_LENGTH (HEADER_SIZE - LENGTH_SIZE)
#define ANY_FRAME 0xFFFFFFFFu
#define MOST_STEPS 64
#define MOST_CONSTANTS 8
#define KEPT_UTF8 4096 /* a text of so many characters may keep its UTF-8, as CPython caches it */

/* ------------------------------------------------------------- bytes */

static inline uint64_t
get(const uint8_t *at, int size)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

static inline void
put(uint8_t *at, uint64_t value, int size)
{
    for (int i = size - 1; i >= 0; i--) {
        at[i] = (uint8_t)value;
        value >>= 8;
    }
}

static inline int
continues(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

/* Whether these bytes are strict UTF-8: no overlong form, no surrogate, nothing above U+10FFFF. */
static int
is_utf8(const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        uint64_t eight;
        while (end - at >= 8) {
            memcpy(&eight, at, 8);
            if (eight & UINT64_C(0x8080808080808080))
                break;
            at += 8;
        }
        if (at == end)
            return 1;
        uint8_t lead = *at;
        Py_ssize_t left = end - at;
        if (lead < 0x80) {
            at += 1;
        }
        else if (lead >= 0xC2 && lead <= 0xDF) {
            if (left < 2 || !continues(at[1]))
                return 0;
            at += 2;
        }
        else if (lead >= 0xE0 && lead <= 0xEF) {
            uint8_t least = lead == 0xE0 ? 0xA0 : 0x80;
            uint8_t most = lead == 0xED ? 0x9F : 0xBF;
            if (left < 3 || at[1] < least || at[1] > most || !continues(at[2]))
                return 0;
            at += 3;
        }
        else if (lead >= 0xF0 && lead <= 0xF4) {
            uint8_t least = lead == 0xF0 ? 0x90 : 0x80;
            uint8_t most = lead == 0xF4 ? 0x8F : 0xBF;
            if (left < 4 || at[1] < least || at[1] > most || !continues(at[2])
                || !continues(at[3]))
                return 0;
            at += 4;
        }
        else {
            return 0;
        }
    }
    return 1;
}

/* ------------------------------------------------------------- a program */

typedef enum { UNSIGNED, SIGNED, FLAG, TEXT, OCTETS } Kind;

typedef struct {
    Kind kind;
    int size;          /* of the integer, or of the count; 0: all that is left */
    Py_ssize_t offset; /* of the slot in the instance */
} Step;

typedef struct {
    PyObject *value;
    Py_ssize_t offset;
} Constant;

typedef struct {
    PyObject_HEAD
    PyTypeObject *event;
    PyObject *slow_decode;
    PyObject *slow_encode;
    uint32_t word;     /* version and reserved, and the type where the class has one */
    Py_ssize_t number; /* offset of the slot of the type where each instance has its own, or -1 */
    int unnumbered;    /* seq 0 may be encoded */
    Py_ssize_t seq;    /* offset of the slot */
    Py_ssize_t least; /* bytes of the smallest body */
    int steps;
    int constants;
    Step step[MOST_STEPS];
    Constant constant[MOST_CONSTANTS];
} Program;

static inline PyObject **
slot_at(PyObject *event, Py_ssize_t offset)
{
    return (PyObject **)((char *)event + offset);
}

/* Where the instances of `event` keep the slot `name`, in bytes; -1 where that is not certain.
 *
 * The Limited API does not tell. One instance is filled with a mark through the slot's own
 * descriptor, and its memory is searched: the mark must stand there exactly once. */
static Py_ssize_t
offset_of(PyTypeObject *event, PyObject *name)
{
    Py_ssize_t found = -1, basic = 0;
    PyObject *descriptor = NULL, *setter = NULL, *done = NULL, *mark = NULL, *probe = NULL;
    PyObject *size = PyObject_GetAttrString((PyObject *)event, "__basicsize__");
    if (size == NULL)
        return -1;
    basic = PyLong_AsSsize_t(size);
    Py_DECREF(size);
    if (basic < 0)
        return -1;
    descriptor = PyObject_GetAttr((PyObject *)event, name);
    if (descriptor == NULL)
        goto out;
    setter = PyObject_GetAttrString(descriptor, "__set__");
    if (setter == NULL)
        goto out;
    mark = PyList_New(0);
    probe = PyType_GenericAlloc(event, 0);
    if (mark == NULL || probe == NULL)
        goto out;
    done = PyObject_CallFunctionObjArgs(setter, probe, mark, NULL);
    if (done == NULL)
        goto out;
    for (Py_ssize_t at = sizeof(PyObject); at + (Py_ssize_t)sizeof(PyObject *) <= basic;
         at += sizeof(PyObject *)) {
        if (*slot_at(probe, at) != mark)
            continue;
        if (found != -1) {
            found = -1;
            goto out;
        }
        found = at;
    }
out:
    Py_XDECREF(descriptor);
    Py_XDECREF(setter);
    Py_XDECREF(done);
    Py_XDECREF(probe);
    Py_XDECREF(mark);
    if (found == -1 && !PyErr_Occurred())
        PyErr_Format(PyExc_TypeError, "no slot %R", name);
    return found;
}

static int
program_traverse(PyObject *self, visitproc visit, void *arg)
{
    Program *program = (Program *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(program->event);
    Py_VISIT(program->slow_decode);
    Py_VISIT(program->slow_encode);
    for (int i = 0; i < program->constants; i++)
        Py_VISIT(program->constant[i].value);
    return 0;
}

static int
program_clear(PyObject *self)
{
    Program *program = (Program *)self;
    Py_CLEAR(program->event);
    Py_CLEAR(program->slow_decode);
    Py_CLEAR(program->slow_encode);
    for (int i = 0; i < program->constants; i++)
        Py_CLEAR(program->constant[i].value);
    return 0;
}

static void
program_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    program_clear(self);
    freefunc free = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free(self);
    Py_DECREF(type);
}

static int
add_step(Program *program, PyObject *item)
{
    PyObject *name;
    const char *kind;
    int size;
    if (!PyArg_ParseTuple(item, "Usi", &name, &kind, &size))
        return -1;
    if (program->steps == MOST_STEPS || size < 0 || size > 8) {
        PyErr_SetString(PyExc_ValueError, "not a step of a program");
        return -1;
    }
    Step *step = &program->step[program->steps];
    if (strcmp(kind, "unsigned") == 0)
        step->kind = UNSIGNED;
    else if (strcmp(kind, "signed") == 0)
        step->kind = SIGNED;
    else if (strcmp(kind, "flag") == 0)
        step->kind = FLAG;
    else if (strcmp(kind, "text") == 0)
        step->kind = TEXT;
    else if (strcmp(kind, "bytes") == 0)
        step->kind = OCTETS;
    else {
        PyErr_Format(PyExc_ValueError, "no kind of step: %s", kind);
        return -1;
    }
    step->size = size;
    step->offset = offset_of(program->event, name);
    if (step->offset < 0)
        return -1;
    program->least += size;
    program->steps++;
    return 0;
}

static int
add_constant(Program *program, PyObject *item)
{
    PyObject *name, *value;
    if (!PyArg_ParseTuple(item, "UO", &name, &value))
        return -1;
    if (program->constants == MOST_CONSTANTS) {
        PyErr_SetString(PyExc_ValueError, "too many constants");
        return -1;
    }
    Py_ssize_t offset = offset_of(program->event, name);
    if (offset < 0)
        return -1;
    Constant *constant = &program->constant[program->constants++];
    constant->value = Py_NewRef(value);
    constant->offset = offset;
    return 0;
}

static int
add_all(Program *program, PyObject *items, int (*add)(Program *, PyObject *))
{
    Py_ssize_t count = PySequence_Size(items);
    if (count < 0)
        return -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PySequence_GetItem(items, i);
        if (item == NULL)
            return -1;
        int failed = add(program, item);
        Py_DECREF(item);
        if (failed)
            return -1;
    }
    return 0;
}

static PyObject *
program_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"event",  "word",   "number",    "unnumbered", "steps",
                            "decode", "encode", "constants", NULL};
    PyObject *event, *number, *steps, *decode, *encode, *constants = NULL;
    unsigned int word;
    int unnumbered;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OIOpOOO|O", names, &event, &word, &number,
                                     &unnumbered, &steps, &decode, &encode, &constants))
        return NULL;
    if (!PyType_Check(event)) {
        PyErr_SetString(PyExc_TypeError, "event: not a class");
        return NULL;
    }
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Program *program = (Program *)alloc(type, 0);
    if (program == NULL)
        return NULL;
    program->event = (PyTypeObject *)Py_NewRef(event);
    program->slow_decode = Py_NewRef(decode);
    program->slow_encode = Py_NewRef(encode);
    program->word = word;
    program->unnumbered = unnumbered;
    PyObject *seq = PyUnicode_FromString("seq");
    program->seq = seq == NULL ? -1 : offset_of(program->event, seq);
    Py_XDECREF(seq);
    program->number = number == Py_None ? -1 : offset_of(program->event, number);
    if (program->seq < 0 || (program->number < 0 && number != Py_None) || add_all(program, steps, add_step)
        || (constants != NULL && add_all(program, constants, add_constant))) {
        Py_DECREF(program);
        return NULL;
    }
    return (PyObject *)program;
}

/* ------------------------------------------------------------- decode */

static PyObject *
read_text(const uint8_t *at, Py_ssize_t size)
{
    PyObject *text = PyUnicode_DecodeUTF8((const char *)at, size, NULL);
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
        PyErr_Clear();
    return text;
}

static PyObject *
read_signed(const uint8_t *at, int size)
{
    int unused = 64 - 8 * size;
    return PyLong_FromLongLong((int64_t)(get(at, size) << unused) >> unused);
}

/* The value of one step, behind which `*at` then stands; NULL without an exception: not good. */
static PyObject *
read_step(const Step *step, const uint8_t **at, const uint8_t *stop)
{
    const uint8_t *here = *at;
    if (stop - here < step->size)
        return NULL;
    if (step->kind < TEXT) {
        *at = here + step->size;
        if (step->kind == UNSIGNED)
            return PyLong_FromUnsignedLongLong(get(here, step->size));
        if (step->kind == SIGNED)
            return read_signed(here, step->size);
        return *here > 1 ? NULL : PyBool_FromLong(*here);
    }
    uint64_t left = (uint64_t)(stop - here - step->size);
    uint64_t size = step->size ? get(here, step->size) : left;
    if (size > left)
        return NULL;
    here += step->size;
    *at = here + size;
    if (step->kind == TEXT)
        return read_text(here, (Py_ssize_t)size);
    return PyBytes_FromStringAndSize((const char *)here, (Py_ssize_t)size);
}

/* The event with this body; NULL without an exception where it is not good. Takes `seq` over. */
static PyObject *
read_event(const Program *program, const uint8_t *at, const uint8_t *stop, PyObject *seq)
{
    if (stop - at < program->least) {
        Py_DECREF(seq);
        return NULL;
    }
    PyObject *event = PyType_GenericAlloc(program->event, 0);
    if (event == NULL) {
        Py_DECREF(seq);
        return NULL;
    }
    *slot_at(event, program->seq) = seq;
    for (int i = 0; i < program->steps; i++) {
        const Step *step = &program->step[i];
        PyObject *value = read_step(step, &at, stop);
        if (value == NULL) {
            Py_DECREF(event);
            return NULL;
        }
        *slot_at(event, step->offset) = value;
    }
    if (at != stop) {
        Py_DECREF(event);
        return NULL;
    }
    for (int i = 0; i < program->constants; i++)
        *slot_at(event, program->constant[i].offset) = Py_NewRef(program->constant[i].value);
    /* Numbers, texts and bytes make no circles: there is nothing here for the collector. */
    PyObject_GC_UnTrack(event);
    return event;
}

static int
bytes_of(PyObject *data, const uint8_t **begin, Py_ssize_t *size)
{
    char *buffer;
    if (PyBytes_AsStringAndSize(data, &buffer, size))
        return -1;
    *begin = (const uint8_t *)buffer;
    return 0;
}

static int
has_count(Py_ssize_t got, Py_ssize_t wanted)
{
    if (got == wanted)
        return 1;
    PyErr_Format(PyExc_TypeError, "%zd arguments, and %zd are needed", got, wanted);
    return 0;
}

/* What the Python function says; this road is slow anyway. */
static PyObject *
call(PyObject *function, PyObject *const *args, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    if (tuple == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < count; i++)
        PyTuple_SetItem(tuple, i, Py_NewRef(args[i]));
    PyObject *result = PyObject_CallObject(function, tuple);
    Py_DECREF(tuple);
    return result;
}

static PyObject *
program_decode(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Program *program = (Program *)self;
    const uint8_t *data;
    Py_ssize_t size;
    if (!has_count(count, 4) || bytes_of(args[0], &data, &size))
        return NULL;
    Py_ssize_t start = PyLong_AsSsize_t(args[1]), stop = PyLong_AsSsize_t(args[2]);
    if (PyErr_Occurred())
        return NULL;
    PyObject *event = NULL;
    if (0 <= start && start <= stop && stop <= size)
        event = read_event(program, data + start, data + stop, Py_NewRef(args[3]));
    if (event == NULL && !PyErr_Occurred())
        return call(program->slow_decode, args, count);
    return event;
}

/* The header of the first frame was read and judged by the caller, who gives its end, its word
 * and its seq; those behind it are judged here. */
static PyObject *
program_decode_many(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Program *program = (Program *)self;
    const uint8_t *data;
    Py_ssize_t size;
    if (!has_count(count, 7) || bytes_of(args[0], &data, &size))
        return NULL;
    Py_ssize_t at = PyLong_AsSsize_t(args[1]), stop = PyLong_AsSsize_t(args[2]);
    unsigned long long word = PyLong_AsUnsignedLongLong(args[3]);
    PyObject *seq = args[4];
    unsigned long long limit = PyLong_AsUnsignedLongLong(args[5]);
    Py_ssize_t most = PyLong_AsSsize_t(args[6]);
    if (PyErr_Occurred())
        return NULL;
    if (at < 0 || stop > size || stop - at < HEADER_SIZE) {
        PyErr_SetString(PyExc_ValueError, "no frame there");
        return NULL;
    }
    PyObject *events = PyList_New(0);
    if (events == NULL)
        return NULL;
    Py_INCREF(seq);
    while (most-- > 0) {
        PyObject *event = read_event(program, data + at + HEADER_SIZE, data + stop, seq);
        seq = NULL; /* it is the event's now */
        if (event == NULL)
            break;
        int failed = PyList_Append(events, event);
        Py_DECREF(event);
        if (failed)
            break;
        at = stop;
        if (size - at < HEADER_SIZE)
            break;
        uint64_t length = get(data + at, 4);
        uint64_t number = get(data + at + 8, 8);
        if (get(data + at + 4, 4) != word || !number || length < MIN_LENGTH || length > limit
            || length > (uint64_t)(size - at - LENGTH_SIZE))
            break;
        stop = at + LENGTH_SIZE + (Py_ssize_t)length;
        seq = PyLong_FromUnsignedLongLong(number);
        if (seq == NULL)
            break;
    }
    Py_XDECREF(seq);
    if (PyErr_Occurred()) {
        Py_DECREF(events);
        return NULL;
    }
    return Py_BuildValue("(Nn)", events, at);
}

/* ------------------------------------------------------------- encode */

typedef struct {
    const char *at;
    Py_ssize_t size;
    PyObject *owner; /* what keeps the bytes alive, where it is not the event */
} Piece;

/* The bytes of a text; 0 where there are none, without an exception. */
static int
piece_of_text(PyObject *value, Piece *piece)
{
    if (!PyUnicode_CheckExact(value)) /* a derived class may encode itself otherwise */
        return 0;
    Py_ssize_t length = PyUnicode_GetLength(value);
    if (length <= KEPT_UTF8) {
        piece->at = PyUnicode_AsUTF8AndSize(value, &piece->size);
        return piece->at != NULL;
    }
    piece->owner = PyUnicode_AsUTF8String(value);
    if (piece->owner == NULL)
        return 0;
    return PyBytes_AsStringAndSize(piece->owner, (char **)&piece->at, &piece->size) == 0;
}

static int
piece_of_bytes(PyObject *value, Piece *piece)
{
    return PyBytes_CheckExact(value)
           && PyBytes_AsStringAndSize(value, (char **)&piece->at, &piece->size) == 0;
}

/* A fixed value as bits; 0 where it has none in `size` bytes. */
static int
bits_of(const Step *step, PyObject *value, uint64_t *bits)
{
    if (step->kind == FLAG) {
        *bits = value == Py_True;
        return value == Py_True || value == Py_False;
    }
    if (step->kind == UNSIGNED) {
        unsigned long long number = PyLong_AsUnsignedLongLong(value);
        *bits = number;
        return !PyErr_Occurred() && (step->size == 8 || number >> 8 * step->size == 0);
    }
    long long number = PyLong_AsLongLong(value);
    *bits = (uint64_t)number;
    if (PyErr_Occurred())
        return 0;
    if (step->size == 8)
        return 1;
    long long half = 1LL << (8 * step->size - 1);
    return -half <= number && number < half;
}

/* The whole frame; NULL, with or without an exception, where Python has to decide. */
static PyObject *
write_event(const Program *program, PyObject *event, Piece *pieces, uint64_t *bits)
{
    PyObject *seq = *slot_at(event, program->seq);
    if (seq == NULL)
        return NULL;
    unsigned long long number = PyLong_AsUnsignedLongLong(seq);
    if (PyErr_Occurred() || (!number && !program->unnumbered))
        return NULL;
    uint32_t word = program->word;
    if (program->number >= 0) {
        PyObject *type = *slot_at(event, program->number);
        unsigned long value = type == NULL ? 0x100 : PyLong_AsUnsignedLong(type);
        if (value > 0xFF)
            return NULL;
        word |= (uint32_t)value << 16;
    }
    uint64_t total = HEADER_SIZE;
    for (int i = 0; i < program->steps; i++) {
        const Step *step = &program->step[i];
        PyObject *value = *slot_at(event, step->offset);
        if (value == NULL)
            return NULL;
        total += (uint64_t)step->size;
        if (step->kind < TEXT) {
            if (!bits_of(step, value, &bits[i]))
                return NULL;
            continue;
        }
        Piece *piece = &pieces[i];
        if (!(step->kind == TEXT ? piece_of_text : piece_of_bytes)(value, piece))
            return NULL;
        if (step->size && step->size < 8 && (uint64_t)piece->size >> 8 * step->size)
            return NULL;
        total += (uint64_t)piece->size;
    }
    if (total - LENGTH_SIZE > ANY_FRAME)
        return NULL;
    PyObject *frame = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)total);
    if (frame == NULL)
        return NULL;
    uint8_t *at = (uint8_t *)PyBytes_AsString(frame);
    put(at, total - LENGTH_SIZE, 4);
    put(at + 4, word, 4);
    put(at + 8, number, 8);
    at += HEADER_SIZE;
    for (int i = 0; i < program->steps; i++) {
        const Step *step = &program->step[i];
        if (step->kind < TEXT) {
            put(at, bits[i], step->size);
            at += step->size;
            continue;
        }
        put(at, (uint64_t)pieces[i].size, step->size);
        at += step->size;
        memcpy(at, pieces[i].at, (size_t)pieces[i].size);
        at += pieces[i].size;
    }
    return frame;
}

static PyObject *
program_encode(PyObject *self, PyObject *event)
{
    Program *program = (Program *)self;
    PyObject *frame = NULL;
    /* A derived class may answer for its fields otherwise; Python asks it. */
    if (Py_TYPE(event) == program->event) {
        Piece pieces[MOST_STEPS];
        uint64_t bits[MOST_STEPS];
        for (int i = 0; i < program->steps; i++)
            pieces[i].owner = NULL;
        frame = write_event(program, event, pieces, bits);
        for (int i = 0; i < program->steps; i++)
            Py_XDECREF(pieces[i].owner);
    }
    if (frame != NULL)
        return frame;
    PyErr_Clear();
    return call(program->slow_encode, &event, 1);
}

static PyMethodDef program_methods[] = {
    {"decode", (PyCFunction)(void (*)(void))program_decode, METH_FASTCALL,
     "decode(data, start, stop, seq): the event whose body is data[start:stop]."},
    {"decode_many", (PyCFunction)(void (*)(void))program_decode_many, METH_FASTCALL,
     "decode_many(data, at, stop, word, seq, limit, count): the good frames of one kind from\n"
     "data[at:stop] on, at most `count`, and the place behind them."},
    {"encode", program_encode, METH_O, "encode(event): its whole frame."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot program_slots[] = {
    {Py_tp_doc, "Program(event, word, number, unnumbered, steps, decode, encode, constants=())\n"
                "\n"
                "The functions of one event class, from its declaration. `steps` are (name, kind,\n"
                "size) for each field; `number` names the slot of the type, where each\n"
                "instance has its own; `constants` are (slot, value) that each decoded event gets.\n"
                "`decode` and `encode` are the Python functions for whatever is not good."},
    {Py_tp_new, program_new},
    {Py_tp_dealloc, program_dealloc},
    {Py_tp_traverse, program_traverse},
    {Py_tp_clear, program_clear},
    {Py_tp_methods, program_methods},
    {0, NULL},
};

static PyType_Spec program_spec = {
    .name = "eventcodec._speedups.Program",
    .basicsize = sizeof(Program),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = program_slots,
};

/* ------------------------------------------------------------- encode any event */

#define KNOWN 64 /* classes whose programs are kept at hand; a power of two */

typedef struct {
    PyObject_HEAD
    PyObject *compiled; /* the names of the attributes */
    PyObject *encode;
    PyObject *self;
    Program *known[KNOWN];
} Encoder;

static int
encoder_traverse(PyObject *self, visitproc visit, void *arg)
{
    Encoder *encoder = (Encoder *)self;
    Py_VISIT(Py_TYPE(self));
    for (int i = 0; i < KNOWN; i++)
        Py_VISIT(encoder->known[i]);
    return 0;
}

static int
encoder_clear(PyObject *self)
{
    Encoder *encoder = (Encoder *)self;
    for (int i = 0; i < KNOWN; i++)
        Py_CLEAR(encoder->known[i]);
    return 0;
}

static void
encoder_dealloc(PyObject *self)
{
    Encoder *encoder = (Encoder *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    encoder_clear(self);
    Py_XDECREF(encoder->compiled);
    Py_XDECREF(encoder->encode);
    Py_XDECREF(encoder->self);
    freefunc free = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free(self);
    Py_DECREF(type);
}

static PyObject *
encoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", names))
        return NULL;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Encoder *encoder = (Encoder *)alloc(type, 0);
    if (encoder == NULL)
        return NULL;
    encoder->compiled = PyUnicode_InternFromString("compiled");
    encoder->encode = PyUnicode_InternFromString("encode");
    encoder->self = PyUnicode_InternFromString("__self__");
    if (encoder->compiled == NULL || encoder->encode == NULL || encoder->self == NULL) {
        Py_DECREF(encoder);
        return NULL;
    }
    return (PyObject *)encoder;
}

/* Keep the program that `function` is bound to, where it is one and for just this class. */
static int
remember(Encoder *encoder, PyObject *function, PyTypeObject *type, Program **place)
{
    PyObject *owner = PyObject_GetAttr(function, encoder->self);
    if (owner == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear(); /* a function in Python: its class has no program */
        return 0;
    }
    if (PyType_GetSlot(Py_TYPE(owner), Py_tp_dealloc) == (void *)program_dealloc
        && ((Program *)owner)->event == type) {
        Program *before = *place;
        *place = (Program *)owner;
        Py_XDECREF(before);
    }
    else {
        Py_DECREF(owner);
    }
    return 0;
}

static PyObject *
encoder_encode(PyObject *self, PyObject *event)
{
    Encoder *encoder = (Encoder *)self;
    PyTypeObject *type = Py_TYPE(event);
    Program **place = &encoder->known[(uintptr_t)type / 64 % KNOWN];
    Program *program = *place;
    if (program != NULL && program->event == type) {
        Py_INCREF(program); /* Python may run below, and another class take the place */
        PyObject *frame = program_encode((PyObject *)program, event);
        Py_DECREF(program);
        return frame;
    }
    PyObject *compiled = PyObject_GetAttr(event, encoder->compiled);
    if (compiled == NULL)
        return NULL;
    PyObject *function = PyObject_GetAttr(compiled, encoder->encode);
    Py_DECREF(compiled);
    if (function == NULL)
        return NULL;
    PyObject *frame = NULL;
    if (remember(encoder, function, type, place) == 0)
        frame = PyObject_CallFunctionObjArgs(function, event, NULL);
    Py_DECREF(function);
    return frame;
}

static PyMethodDef encoder_methods[] = {
    {"encode", encoder_encode, METH_O, "encode(event): what `event.compiled.encode(event)` returns."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot encoder_slots[] = {
    {Py_tp_doc, "Encoder()\n\nEncodes events of any class, and keeps the programs of the last classes at hand."},
    {Py_tp_new, encoder_new},
    {Py_tp_dealloc, encoder_dealloc},
    {Py_tp_traverse, encoder_traverse},
    {Py_tp_clear, encoder_clear},
    {Py_tp_methods, encoder_methods},
    {0, NULL},
};

static PyType_Spec encoder_spec = {
    .name = "eventcodec._speedups.Encoder",
    .basicsize = sizeof(Encoder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = encoder_slots,
};

/* ------------------------------------------------------------- relay */

enum { NOT_RELAYED, RELAYED_TEXT, RELAYED_OCTETS };

static PyObject *
relay(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const uint8_t *data, *sender, *kinds;
    Py_ssize_t size, added, types;
    if (!has_count(count, 8) || bytes_of(args[0], &data, &size) || bytes_of(args[3], &sender, &added)
        || bytes_of(args[6], &kinds, &types))
        return NULL;
    Py_ssize_t at = PyLong_AsSsize_t(args[1]);
    unsigned long long limit = PyLong_AsUnsignedLongLong(args[2]);
    unsigned long long position = PyLong_AsUnsignedLongLong(args[4]);
    Py_ssize_t most = PyLong_AsSsize_t(args[5]);
    unsigned long ack_word = PyLong_AsUnsignedLong(args[7]);
    if (PyErr_Occurred())
        return NULL;
    if (types != 256 || added < 1 || at < 0) {
        PyErr_SetString(PyExc_ValueError, "not what relay takes");
        return NULL;
    }
    enum { ACK_SIZE = HEADER_SIZE + 8 };
    Py_ssize_t fit = at < size ? (size - at) / (HEADER_SIZE + 1) : 0;
    if (most > fit)
        most = fit;
    if (most < 0)
        most = 0;
    uint8_t *acks = PyMem_Malloc((size_t)(most ? most * ACK_SIZE : 1));
    PyObject *facts = PyList_New(0);
    if (facts == NULL || acks == NULL) {
        Py_XDECREF(facts);
        PyMem_Free(acks);
        return facts == NULL ? NULL : PyErr_NoMemory();
    }
    Py_ssize_t taken = 0;
    for (; taken < most && size - at > HEADER_SIZE; taken++) {
        const uint8_t *frame = data + at;
        uint64_t length = get(frame, 4);
        uint8_t version = frame[4], kind = kinds[frame[5]];
        if (frame[HEADER_SIZE] || version != ack_word >> 24 || frame[6] || frame[7] || !kind
            || length <= MIN_LENGTH || length > limit
            || length > (uint64_t)(size - at - LENGTH_SIZE) || get(frame + 8, 8) == 0)
            break;
        const uint8_t *content = frame + HEADER_SIZE + 1;
        const uint8_t *stop = frame + LENGTH_SIZE + length;
        if (kind == RELAYED_TEXT && !is_utf8(content, stop))
            break;
        Py_ssize_t rest = stop - content;
        PyObject *fact = PyBytes_FromStringAndSize(NULL, HEADER_SIZE + added + rest);
        if (fact == NULL)
            break;
        uint8_t *to = (uint8_t *)PyBytes_AsString(fact);
        put(to, (uint64_t)(MIN_LENGTH + added + rest), 4);
        memcpy(to + 4, frame + 4, 4);
        put(to + 8, position, 8);
        memcpy(to + HEADER_SIZE, sender, (size_t)added);
        memcpy(to + HEADER_SIZE + added, content, (size_t)rest);
        int failed = PyList_Append(facts, fact);
        Py_DECREF(fact);
        if (failed)
            break;
        uint8_t *ack = acks + taken * ACK_SIZE;
        put(ack, MIN_LENGTH + 8, 4);
        put(ack + 4, ack_word, 4);
        memcpy(ack + 8, frame + 8, 8);
        put(ack + HEADER_SIZE, position, 8);
        position++;
        at += LENGTH_SIZE + (Py_ssize_t)length;
    }
    PyObject *result = NULL;
    if (PyErr_Occurred())
        Py_DECREF(facts);
    else
        /* No `#` in a format: headers before 3.13 and those since then treat it differently, so a
         * module that is built with 3.13 would fail on 3.11. */
        result = Py_BuildValue("(NNn)", facts,
                               PyBytes_FromStringAndSize((const char *)acks, taken * ACK_SIZE), at);
    PyMem_Free(acks);
    return result;
}

/* ------------------------------------------------------------- the module */

static PyMethodDef functions[] = {
    {"relay", (PyCFunction)(void (*)(void))relay, METH_FASTCALL,
     "relay(data, at, limit, sender, position, count, kinds, ack_word): facts, Acks, place behind.\n"
     "\n"
     "`kinds` says for each type whether it is relayed: 0 no, 1 with a text, 2 with bytes."},
    {NULL, NULL, 0, NULL},
};

static int
add_type(PyObject *module, PyType_Spec *spec, const char *name)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type == NULL)
        return -1;
    int failed = PyModule_AddObjectRef(module, name, type);
    Py_DECREF(type);
    return failed;
}

static int
fill(PyObject *module)
{
    if (add_type(module, &program_spec, "Program") || add_type(module, &encoder_spec, "Encoder"))
        return -1;
    return PyModule_AddIntConstant(module, "MOST_FIELDS", MOST_STEPS);
}

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "eventcodec._speedups",
    .m_doc = "The codec's inner loops in C; see `eventcodec.compiler`.",
    .m_methods = functions,
};

PyMODINIT_FUNC
PyInit__speedups(void)
{
    /* The slot that says "any interpreter, a lock of its own too" came with Python 3.12. */
    static PyModuleDef_Slot slots[] = {{Py_mod_exec, fill}, {0, NULL}, {0, NULL}};
    enum { MULTIPLE_INTERPRETERS = 3 };
    if (Py_Version >= 0x030C0000) {
        slots[1].slot = MULTIPLE_INTERPRETERS;
        slots[1].value = (void *)2;
    }
    definition.m_slots = slots;
    return PyModuleDef_Init(&definition);
}
